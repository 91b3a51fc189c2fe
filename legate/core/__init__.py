"""`legate.core`: stores, tasks, machines and scopes. Importing it starts the runtime.

Exports only; each room is a module of its own.
"""

from __future__ import annotations

# Data: types, shapes, scalars, options.
from legate.core import types
from legate.core._array import LogicalArray
from legate.core._auto_task import AutoTask
from legate.core._constraints import (
    Constraint,
    Variable,
    align,
    bloat,
    broadcast,
    image,
    min_extents,
    scale,
)
from legate.core._context import TaskContext
from legate.core._enums import (
    LEGATE_MAX_DIM,
    ExceptionMode,
    ImageComputationHint,
    StoreTarget,
    StreamingMode,
    TaskTarget,
    VariantCode,
)
from legate.core._external import ExternalAllocation
from legate.core._hygiene import install as _same_random_numbers
from legate.core._library import Library, TaskInfo
from legate.core._machine import EmptyMachineError, Machine, ProcessorRange, ProcessorSlice, get_machine
from legate.core._manual_task import ManualTask
from legate.core._options import ResourceConfig, TaskConfig, VariantOptions
from legate.core._partition import LogicalStorePartition
from legate.core._physical import InlineAllocation, PhysicalStore, TaskLocalBuffer
from legate.core._runtime import Runtime, get_legate_runtime
from legate.core._scalar import Scalar
from legate.core._scope import ParallelPolicy, ProfileRange, Scope, is_running_in_task, track_provenance
from legate.core._shape import (
    DimOrdering,
    Domain,
    DomainPoint,
    GlobalRedopID,
    GlobalTaskID,
    LocalRedopID,
    LocalTaskID,
    Shape,
    SymbolicExpr,
    constant,
    dimension,
)
from legate.core._shutdown import install as _finish_at_exit
from legate.core._store import LogicalStore
from legate.core.data_interface import (
    Field,
    LegateDataInterface,
    as_logical_store,
    from_dlpack,
    offload_to,
)
from legate.core.types import (
    FixedArrayType,
    ReductionOpKind,
    StructType,
    Type,
    TypeCode,
    array_type,
    binary_type,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    null_type,
    point_type,
    rect_type,
    string_type,
    struct_type,
    uint8,
    uint16,
    uint32,
    uint64,
)
from legate.core.utils import Annotation

__all__ = [
    "LEGATE_MAX_DIM",
    "Annotation",
    "AutoTask",
    "Constraint",
    "DimOrdering",
    "Domain",
    "DomainPoint",
    "EmptyMachineError",
    "ExceptionMode",
    "ExternalAllocation",
    "Field",
    "FixedArrayType",
    "GlobalRedopID",
    "GlobalTaskID",
    "ImageComputationHint",
    "InlineAllocation",
    "LegateDataInterface",
    "Library",
    "LocalRedopID",
    "LocalTaskID",
    "LogicalArray",
    "LogicalStore",
    "LogicalStorePartition",
    "Machine",
    "ManualTask",
    "ParallelPolicy",
    "PhysicalStore",
    "ProcessorRange",
    "ProcessorSlice",
    "ProfileRange",
    "ReductionOpKind",
    "ResourceConfig",
    "Runtime",
    "Scalar",
    "Scope",
    "Shape",
    "StoreTarget",
    "StreamingMode",
    "StructType",
    "SymbolicExpr",
    "TaskConfig",
    "TaskContext",
    "TaskInfo",
    "TaskLocalBuffer",
    "TaskTarget",
    "Type",
    "TypeCode",
    "Variable",
    "VariantCode",
    "VariantOptions",
    "align",
    "array_type",
    "as_logical_store",
    "binary_type",
    "bloat",
    "bool_",
    "broadcast",
    "complex64",
    "complex128",
    "constant",
    "dimension",
    "float16",
    "float32",
    "float64",
    "from_dlpack",
    "get_legate_runtime",
    "get_machine",
    "image",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_running_in_task",
    "min_extents",
    "null_type",
    "offload_to",
    "point_type",
    "rect_type",
    "scale",
    "string_type",
    "struct_type",
    "track_provenance",
    "types",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

_same_random_numbers()
_finish_at_exit()
