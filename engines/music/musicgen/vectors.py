"""The few machine-level parts of the kernels, written as LLVM vector code through numba.

numba is here already (librosa needs it) and brings its own compiler, so a person needs none. What
LLVM makes of these vectors fits any processor: AVX-512, AVX2 or NEON.
"""

from __future__ import annotations

import ctypes
import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engines.music.musicgen.packing import lanes

LANES = lanes()
FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
CACHE_LINE = 64
AHEAD = 4096  # the processor's own prefetching stops at the end of a page; this adds a third to the speed
INT_VECTOR = ir.VectorType(INT32, LANES)


def _array(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value)


def _weights(builder, pointer, dtype):
    """Load LANES stored numbers as float32, and ask the memory for those ``AHEAD`` bytes further on."""
    _fetch(builder, pointer, LANES * dtype.bitwidth // (16 if dtype == types.uint8 else 8))
    if dtype == types.uint8:  # two numbers from 0 to 15: the first half of the lanes is below
        half = ir.VectorType(ir.IntType(8), LANES // 2)
        wide = ir.VectorType(INT32, LANES // 2)
        pairs = builder.load(builder.bitcast(pointer, half.as_pointer()), align=1)
        pairs = builder.zext(pairs, wide)
        below = builder.and_(pairs, ir.Constant(wide, [15] * (LANES // 2)))
        above = builder.lshr(pairs, ir.Constant(wide, [4] * (LANES // 2)))
        both = builder.shuffle_vector(below, above, ir.Constant(INT_VECTOR, list(range(LANES))))
        return builder.sitofp(both, VECTOR)
    stored = {types.float32: FLOAT, types.uint16: ir.IntType(16), types.int8: ir.IntType(8)}[dtype]
    vector = ir.VectorType(stored, LANES)
    numbers = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)
    if dtype == types.int8:
        return builder.sitofp(numbers, VECTOR)
    if dtype == types.uint16:  # bfloat16 is the upper half of a float32
        wide = builder.zext(numbers, INT_VECTOR)
        return builder.bitcast(builder.shl(wide, ir.Constant(INT_VECTOR, [16] * LANES)), VECTOR)
    return numbers


def _fetch(builder, pointer, length):
    """Prefetch ``length`` bytes from ``AHEAD`` bytes after ``pointer`` on; never faults."""
    byte = ir.IntType(8).as_pointer()
    fetch = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32]),
        "llvm.prefetch.p0",
    )
    start = builder.bitcast(pointer, byte)
    for line in range(0, length, CACHE_LINE):
        place = builder.gep(start, [INT64(AHEAD + line)])
        builder.call(fetch, [place, INT32(0), INT32(3), INT32(1)])  # read, keep near, data


def _tile(rows: int):
    """``tile(block, x, depth, out)``: out[r, :] = sum over k < depth of x[r, k] * block[k, :].

    ``block (depth or more, LANES)`` is of any stored type (in uint8, ``LANES // 2`` bytes of two
    numbers each); ``x`` and ``out`` are float32 with ``rows`` rows or more. Each output is one chain
    of fused multiply-adds over k in order, so it does not depend on the number of rows.
    """

    @intrinsic
    def tile(typing_context, block, x, depth, out):
        def generate(context, builder, signature, arguments):
            block_type, x_type, _, out_type = signature.args
            block, x = (
                _array(context, builder, kind, value)
                for kind, value in zip((block_type, x_type), arguments[:2], strict=True)
            )
            depth, out = arguments[2], _array(context, builder, out_type, arguments[3])
            width = LANES // 2 if block_type.dtype == types.uint8 else LANES
            multiply_add = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
            )
            x_rows, out_rows = (
                [
                    cgutils.get_item_pointer(context, builder, kind, array, [INT64(r), INT64(0)])
                    for r in range(rows)
                ]
                for kind, array in ((x_type, x), (out_type, out))
            )
            sums = [cgutils.alloca_once_value(builder, ir.Constant(VECTOR, None)) for _ in x_rows]
            with cgutils.for_range(builder, depth, intp=INT64) as loop:
                offset = builder.mul(loop.index, INT64(width))
                weights = _weights(builder, builder.gep(block.data, [offset]), block_type.dtype)
                for row, total in zip(x_rows, sums, strict=True):
                    number = builder.load(builder.gep(row, [loop.index]))
                    first = builder.insert_element(
                        ir.Constant(VECTOR, ir.Undefined), number, INT32(0)
                    )
                    spread = builder.shuffle_vector(first, first, ir.Constant(INT_VECTOR, None))
                    builder.store(
                        builder.call(multiply_add, [weights, spread, builder.load(total)]), total
                    )
            for row, total in zip(out_rows, sums, strict=True):
                builder.store(
                    builder.load(total), builder.bitcast(row, VECTOR.as_pointer()), align=4
                )
            return context.get_dummy_value()

        return types.void(block, x, types.int64, out), generate

    return tile


tile1, tile2, tile4 = _tile(1), _tile(2), _tile(4)


@intrinsic
def put(typing_context, array, index, value):
    """``put(array, index, value)``: store a float32 in a one-dimensional array, rounded to its type
    (an int8 must be within range already)."""

    def generate(context, builder, signature, arguments):
        array_type = signature.args[0]
        array = _array(context, builder, array_type, arguments[0])
        value = arguments[2]
        if array_type.dtype == types.int8:
            nearest = builder.module.declare_intrinsic("llvm.rint", [FLOAT])
            value = builder.fptosi(builder.call(nearest, [value]), ir.IntType(8))
        elif array_type.dtype == types.uint16:
            bits = builder.bitcast(value, INT32)
            odd = builder.and_(builder.lshr(bits, INT32(16)), INT32(1))
            bits = builder.add(builder.add(bits, INT32(0x7FFF)), odd)
            value = builder.trunc(builder.lshr(bits, INT32(16)), ir.IntType(16))
        builder.store(value, builder.gep(array.data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float32), generate


@intrinsic
def power_of_two(typing_context, exponent):
    """2 to the power of an int32 within [-126, 127], as float32."""

    def generate(context, builder, signature, arguments):
        biased = builder.add(arguments[0], INT32(127))
        return builder.bitcast(builder.shl(biased, INT32(23)), FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def add_and_fetch_old(typing_context, array, index):
    """Add one to ``array[index]`` of int64, as one step for all threads; returns the old value."""

    def generate(context, builder, signature, arguments):
        array = _array(context, builder, signature.args[0], arguments[0])
        place = builder.gep(array.data, [arguments[1]])
        return builder.atomic_rmw("add", place, INT64(1), "seq_cst")

    return types.int64(array, types.int64), generate


@intrinsic
def read_shared(typing_context, array, index):
    """``array[index]`` of int64 as other threads have left it, and all that they wrote before."""

    def generate(context, builder, signature, arguments):
        array = _array(context, builder, signature.args[0], arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "seq_cst", 8)

    return types.int64(array, types.int64), generate


@intrinsic
def own_function(typing_context):
    """Called in a function: it is compiled once and called, not copied into its callers, which would
    make compiling several times as long."""

    def generate(context, builder, signature, arguments):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call(typing_context, address):
    """Call a C function without arguments at an address; see ``yield_address``."""

    def generate(context, builder, signature, arguments):
        function = ir.FunctionType(INT32, []).as_pointer()
        builder.call(builder.inttoptr(arguments[0], function), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


def yield_address() -> int:
    """Address of the function by which a waiting thread lets others run."""
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
