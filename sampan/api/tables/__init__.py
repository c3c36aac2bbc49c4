"""Tables: what ``kubectl get`` shows of each built-in kind, as kube-apiserver prints it (pkg/printers/internalversion).

`columns` and `row` belong together: one cell for each column. Kinds without a printer of their own have a name and an
age. Custom resources bring their own columns and are printed elsewhere.
"""

from sampan.api.tables.columns import columns
from sampan.api.tables.printers import row
from sampan.api.tables.text import human_duration

__all__ = ["columns", "human_duration", "row"]
