"""Every documented name can be imported from the module that documents it, and takes the documented arguments."""

from __future__ import annotations

import importlib
import inspect
from enum import IntEnum
from typing import Any

import pytest

import legate
import legate.core as lg
from legate.core import get_legate_runtime
from legate.core.experimental.io import file_handle, tile, zarr
from legate.core.task import PyTask, task
from legate.io import hdf5

NAMES = {
    "legate": "__version__ get_legate_runtime fence",
    "legate.install_info": "use_cuda use_openmp networks build_type conduit configure_options legion_version",
    "legate.core": """
        get_legate_runtime get_machine Runtime VariantCode TaskTarget StoreTarget TaskContext TaskConfig VariantOptions TaskInfo
        AutoTask ManualTask align broadcast scale bloat image ImageComputationHint min_extents Constraint Variable SymbolicExpr
        constant dimension LogicalStore LogicalStorePartition PhysicalStore InlineAllocation TaskLocalBuffer ExternalAllocation
        Shape Scalar Domain DomainPoint LocalTaskID GlobalTaskID LocalRedopID GlobalRedopID DimOrdering Machine ProcessorRange
        ProcessorSlice EmptyMachineError Scope ParallelPolicy StreamingMode ExceptionMode Library ResourceConfig
        track_provenance ProfileRange Annotation is_running_in_task from_dlpack LegateDataInterface as_logical_store offload_to
        LEGATE_MAX_DIM LogicalArray types task""",
    "legate.core.data_interface": """
        LegateDataInterface as_logical_store offload_to MIN_DATA_INTERFACE_VERSION MAX_DATA_INTERFACE_VERSION""",
    "legate.core.types": """
        Type TypeCode ReductionOpKind FixedArrayType StructType bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16
        float32 float64 complex64 complex128 null_type string_type binary_type array_type struct_type point_type rect_type""",
    "legate.core.utils": "OrderedSet Annotation",
    "legate.core.task": """
        task PyTask VariantInvoker InputStore OutputStore ReductionStore ADD MUL MAX MIN OR AND XOR InputArray OutputArray
        ReductionArray""",
    "legate.timing": "time PyTime",
    "legate.io.hdf5": "from_file from_file_batched to_file",
    "legate.core.experimental.io.file_handle": "FileHandle OpenFlag from_file to_file",
    "legate.core.experimental.io.tile": "from_tiles from_tiles_by_offsets to_tiles",
    "legate.core.experimental.io.zarr": "read_array write_array",
    "legate.util.benchmark": "benchmark_log BenchmarkLog BenchmarkLogFromFilename",
    "legate.util.info": "info",
    "legate.util.has_started": "runtime_has_started",
    "legate.util.settings": """
        PrioritizedSetting EnvOnlySetting Settings SettingBase convert_bool convert_int convert_str convert_str_seq""",
    "legate.util._benchmark.settings": "settings",
    "legate.util.fs": "read_c_define",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    namespace = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(namespace, name)]
    assert not missing


ENUMS = {
    lg.VariantCode: "CPU GPU OMP",
    lg.TaskTarget: "GPU OMP CPU",
    lg.StoreTarget: "SYSMEM FBMEM ZCMEM SOCKETMEM",
    lg.StreamingMode: "OFF STRICT RELAXED",
    lg.ExceptionMode: "IMMEDIATE DEFERRED IGNORED",
    lg.ImageComputationHint: "NO_HINT MIN_MAX FIRST_LAST",
    lg.types.ReductionOpKind: "ADD MUL MAX MIN OR AND XOR",
}


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_members_in_order(kind: type[IntEnum]) -> None:
    assert issubclass(kind, IntEnum)
    assert [member.name for member in tuple(kind)] == ENUMS[kind].split()


R = lg.Runtime
SIGNATURES: list[tuple[Any, str]] = [
    (task, "func=None *variants *constraints=None *options=None"),
    (PyTask, "*func *variants *constraints=None *options=None *invoker=None *library=None"),
    (R.find_library, "library_name"),
    (R.find_or_create_library, "library_name config=None default_options=None"),
    (R.create_library, "library_name"),
    (R.create_auto_task, "library task_id"),
    (R.create_manual_task, "library task_id launch_shape lower_bounds=None"),
    (R.issue_copy, "target source redop=None"),
    (R.issue_gather, "target source source_indirect redop=None"),
    (R.issue_scatter, "target target_indirect source redop=None"),
    (R.issue_scatter_gather, "target target_indirect source source_indirect redop=None"),
    (R.issue_fill, "lhs value"),
    (R.tree_reduce, "library task_id store radix=4"),
    (R.submit, "task"),
    (R.create_store, "dtype shape=None optimize_scalar=False ndim=None"),
    (R.create_store_from_scalar, "scalar shape=None"),
    (R.create_store_from_buffer, "dtype shape data read_only ordering=None"),
    (R.create_store_from_tiles, "dtype shape tile_shape allocations ordering=None"),
    (R.prefetch_bloated_instances, "store low_offsets high_offsets initialize=False"),
    (R.issue_mapping_fence, ""),
    (R.issue_execution_fence, "block=False"),
    (R.get_machine, ""),
    (R.finish, ""),
    (R.add_shutdown_callback, "callback"),
    (R.start_profiling_range, ""),
    (R.stop_profiling_range, "provenance"),
    (R.config, ""),
    (R.realm_config, ""),
    (lg.TaskConfig, "task_id *options=None"),
    (lg.ResourceConfig, "max_tasks max_dyn_tasks max_reduction_ops max_projections max_shardings"),
    (lg.AutoTask.add_input, "array_or_store partition=None"),
    (lg.AutoTask.add_output, "array_or_store partition=None"),
    (lg.AutoTask.add_reduction, "array_or_store redop partition=None"),
    (lg.AutoTask.add_scalar_arg, "value dtype=None"),
    (lg.AutoTask.add_broadcast, "store axes=None"),
    (lg.AutoTask.add_alignment, "store1 store2"),
    (lg.ManualTask.add_input, "arg projection=None is_key_partition=False"),
    (lg.ManualTask.add_output, "arg projection=None is_key_partition=False"),
    (lg.ManualTask.add_reduction, "arg redop projection=None is_key_partition=False"),
    (lg.Scope, "*priority=None *exception_mode=None *provenance=None *machine=None *parallel_policy=None"),
    (lg.PhysicalStore.create_output_buffer, "shape bind=True"),
    (lg.PhysicalStore.bind_data, "buffer extent=None"),
    (lg.LogicalStore.get_physical_store, "target=None"),
    (lg.LogicalStore.partition_by_tiling, "tile_shape color_shape=None"),
    (lg.Scalar, "value dtype=None"),
    (lg.Machine, "ranges=None"),
    (lg.ProcessorRange, "low high per_node_count"),
    (lg.track_provenance, "nested=False"),
    (lg.offload_to, "obj *target"),
    (lg.types.struct_type, "field_types align=True"),
    (hdf5.to_file, "array path dataset_name"),
    (hdf5.from_file, "path dataset_name"),
    (hdf5.from_file_batched, "path dataset_name chunk_size"),
    (file_handle.FileHandle, "file flags='r'"),
    (file_handle.FileHandle.read, "ty"),
    (file_handle.FileHandle.write, "array"),
    (tile.to_tiles, "path array tile_shape tile_start=None"),
    (tile.from_tiles, "path shape array_type tile_shape tile_start=None"),
    (tile.from_tiles_by_offsets, "path shape type offsets tile_shape"),
    (zarr.write_array, "ary dirpath chunks=None"),
    (zarr.read_array, "dirpath"),
]


def _spelled(function: Any) -> list[tuple[str, Any]]:
    """Parameters, keyword-only ones with a star, and their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return [("*" * (p.kind is p.KEYWORD_ONLY) + p.name, p.default) for p in parameters if p.name != "self"]


@pytest.mark.parametrize(("function", "expected"), SIGNATURES, ids=lambda x: getattr(x, "__qualname__", ""))
def test_parameters_and_defaults(function: Any, expected: str) -> None:
    found = _spelled(function)
    for spelled, (name, default) in zip(expected.split(), found, strict=False):
        wanted, _, text = spelled.partition("=")
        assert wanted == name
        if text:
            assert repr(default) == text
    assert len(found) >= len(expected.split())
    extra = found[len(expected.split()) :]
    assert all(default is not inspect.Parameter.empty for _, default in extra)


def test_task_decorator_is_for_cpus_by_default() -> None:
    assert inspect.signature(task).parameters["variants"].default == (lg.VariantCode.CPU,)


def test_runtime_is_one_and_is_not_constructed() -> None:
    runtime = get_legate_runtime()
    assert legate.get_legate_runtime() is runtime is lg.get_legate_runtime()
    assert isinstance(runtime, lg.Runtime)
    assert (runtime.node_count, runtime.node_id) == (1, 0)
    assert runtime.machine == runtime.get_machine() == lg.get_machine()
    assert runtime.core_library.name == "legate.core"


CLOSED = [
    *(lg.Runtime, lg.LogicalStore, lg.LogicalStorePartition, lg.PhysicalStore, lg.InlineAllocation),
    *(lg.TaskLocalBuffer, lg.AutoTask, lg.ManualTask, lg.TaskContext, lg.TaskInfo, lg.Library, lg.Variable),
]


@pytest.mark.parametrize("kind", CLOSED, ids=lambda kind: kind.__name__)
def test_not_constructed_directly(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} objects must not be constructed directly"):
        kind()


OPTIONS = """
    concurrent has_allocations elide_device_ctx_sync has_side_effect may_throw_exception communicators"""


def test_variant_options_are_keywords_and_false() -> None:
    parameters = inspect.signature(lg.VariantOptions).parameters
    assert sorted(parameters) == sorted(OPTIONS.split())
    assert all(p.kind is p.KEYWORD_ONLY and not p.default for p in parameters.values())
    assert lg.VariantOptions() == lg.VariantOptions(concurrent=False)
    assert lg.VariantOptions() != lg.VariantOptions(may_throw_exception=True)


CONFIG = """
    auto_config show_progress_requested use_empty_task warmup_nccl enable_inline_task_launch single_controller_execution
    max_exception_size min_cpu_chunk min_gpu_chunk min_omp_chunk window_size field_reuse_frac field_reuse_freq consensus
    disable_mpi io_use_vfd_gds num_omp_threads profile profile_name provenance nsys experimental_copy_path"""
REALM = "cpus util sysmem regmem gpus fbmem zcmem omps ompthreads numamem"


def test_configurations_show_their_fields() -> None:
    config, realm = get_legate_runtime().config(), get_legate_runtime().realm_config()
    assert all(hasattr(config, name) for name in CONFIG.split())
    assert all(isinstance(getattr(realm, name), int) for name in REALM.split())
