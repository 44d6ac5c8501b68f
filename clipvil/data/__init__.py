"""Examples and what an encoder saw, joined into batches."""

from clipvil.data.labels import LabelBatch as LabelBatch
from clipvil.data.labels import LabelData as LabelData
from clipvil.data.labels import Vocabulary as Vocabulary
from clipvil.data.live import Live as Live
from clipvil.data.sight import Blind as Blind
from clipvil.data.sight import Shuffled as Shuffled
from clipvil.data.sight import Sight as Sight
from clipvil.data.sight import Statistics as Statistics
from clipvil.data.sight import Stored as Stored
