"""Register-blocked inner loops of the compiled engine, written in LLVM's vector types through numba.

The two loops of a convolution keep a block of ``rows x vectors`` sums in vector registers, which no loop vectoriser
finds by itself:

* :func:`gathered_product` sums over input channels: every one of ``rows`` gathered input rows is multiplied by a
  panel of the weight matrix and added to its output row (forward, and the input gradient with the matrix transposed);
* :func:`gathered_outer` sums over pairs: outer products of gathered input rows and gathered gradient rows are added
  to a block of the weight gradient.

Addresses are integers (``tensor.data_ptr()``), strides count bytes, row numbers are int32. ``rows`` and ``vectors``
are literals, so every block size is its own straight-line code; the type of ``zero`` chooses float32 or float64.
Importing this module imports numba.
"""

# numba types these functions itself: mypy sees neither their arguments nor what an intrinsic takes.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,call-arg,untyped-decorator,misc"

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_FEATURES = llvm.get_host_cpu_features()
WIDE = bool(_FEATURES.get("avx512f"))
VECTOR_BYTES = 64 if WIDE else 32 if _FEATURES.get("avx2") else 16
REGISTERS = 16 if VECTOR_BYTES == 32 else 32
MOST_VECTORS = 4 if REGISTERS == 32 else 2

_INT = ir.IntType(64)
_BYTE = ir.IntType(8)


class _Block:
    """Emits code for one block: loads, stores and fused multiply-adds of vectors at integer addresses."""

    def __init__(self, builder: ir.IRBuilder, number: types.Float) -> None:
        self.builder = builder
        self.scalar = ir.FloatType() if number.bitwidth == 32 else ir.DoubleType()
        self.lanes = VECTOR_BYTES * 8 // number.bitwidth
        self.size = number.bitwidth // 8
        self.vector = ir.VectorType(self.scalar, self.lanes)
        suffix = f"v{self.lanes}f{number.bitwidth}"
        self.fma = builder.module.declare_intrinsic(
            f"llvm.fma.{suffix}", fnty=ir.FunctionType(self.vector, [self.vector] * 3)
        )

    def _pointer(self, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
        byte = self.builder.inttoptr(address, _BYTE.as_pointer())
        return self.builder.bitcast(self.builder.gep(byte, [_INT(offset)]), kind.as_pointer())

    def load(self, address: ir.Value, offset: int = 0) -> ir.Value:
        loaded = self.builder.load(self._pointer(address, offset, self.vector))
        loaded.align = self.size
        return loaded

    def store(self, value: ir.Value, address: ir.Value, offset: int = 0) -> None:
        self.builder.store(value, self._pointer(address, offset, self.vector)).align = self.size

    def broadcast(self, address: ir.Value, offset: int = 0) -> ir.Value:
        """The number at ``address`` in every lane."""
        number = self.builder.load(self._pointer(address, offset, self.scalar))
        single = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, ir.Constant(self.vector, ir.Undefined), lanes)

    def row(self, start: ir.Value, stride: ir.Value, numbers: ir.Value, position: int) -> ir.Value:
        """Address of the row whose number is the ``position``-th int32 at ``numbers``."""
        number = self.builder.load(self._pointer(numbers, 4 * position, ir.IntType(32)))
        return self.builder.add(start, self.builder.mul(self.builder.zext(number, _INT), stride))

    def multiply_add(self, left: list[ir.Value], right: list[ir.Value], sums: list[ir.Value]) -> list[ir.Value]:
        """``sums`` [rows x vectors] plus the products of broadcast ``left`` and vectors ``right``."""
        pairs = [(a, b) for a in left for b in right]
        return [self.builder.call(self.fma, [a, b, s]) for (a, b), s in zip(pairs, sums, strict=True)]

    def loop(self, count: ir.Value, start: list[ir.Value], body: Any) -> list[ir.Value]:
        """``state = body(i, state)`` for i < count, with the state in registers; ``count`` is at least 1."""
        before, inside = self.builder.block, self.builder.append_basic_block("sum")
        after = self.builder.append_basic_block("summed")
        self.builder.branch(inside)
        self.builder.position_at_end(inside)
        index = self.builder.phi(_INT)
        state = [self.builder.phi(value.type) for value in start]
        new = body(index, state)
        following = self.builder.add(index, _INT(1))
        end = self.builder.block
        for phi, first, last in zip([index, *state], [_INT(0), *start], [following, *new], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, end)
        self.builder.cbranch(self.builder.icmp_unsigned("<", following, count), inside, after)
        self.builder.position_at_end(after)
        return new


@intrinsic(prefer_literal=True)
def gathered_product(typing, rows, vectors, zero, x, x_stride, x_rows, w, w_stride, depth, out, out_stride, out_rows):
    """``out[out_rows[r]] += x[x_rows[r]] @ w`` for r < rows: ``depth`` inputs, ``vectors`` vectors of outputs."""
    n_rows, n_vectors = rows.literal_value, vectors.literal_value

    def generate(context, builder, signature, arguments):
        _, _, _, x, x_stride, x_rows, w, w_stride, depth, out, out_stride, out_rows = arguments
        block = _Block(builder, zero)
        inputs = [block.row(x, x_stride, x_rows, r) for r in range(n_rows)]
        outputs = [block.row(out, out_stride, out_rows, r) for r in range(n_rows)]
        places = [(address, v * VECTOR_BYTES) for address in outputs for v in range(n_vectors)]

        def channel(index: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
            panel = [block.load(state[0], v * VECTOR_BYTES) for v in range(n_vectors)]
            shift = builder.mul(index, _INT(block.size))
            left = [block.broadcast(builder.add(address, shift)) for address in inputs]
            return [builder.add(state[0], w_stride), *block.multiply_add(left, panel, state[1:])]

        start = [w, *(block.load(*place) for place in places)]
        for value, place in zip(block.loop(depth, start, channel)[1:], places, strict=True):
            block.store(value, *place)
        return context.get_dummy_value()

    integers = [types.int64] * 9
    return types.void(rows, vectors, zero, *integers), generate


@intrinsic(prefer_literal=True)
def gathered_outer(typing, rows, vectors, zero, x, x_stride, x_rows, g, g_stride, g_rows, count, out, out_stride):
    """``out += sum over p < count of x[x_rows[p]]^T g[g_rows[p]]``: ``rows`` inputs, ``vectors`` vectors of outputs."""
    n_rows, n_vectors = rows.literal_value, vectors.literal_value

    def generate(context, builder, signature, arguments):
        _, _, _, x, x_stride, x_rows, g, g_stride, g_rows, count, out, out_stride = arguments
        block = _Block(builder, zero)
        outputs = [builder.add(out, builder.mul(_INT(r), out_stride)) for r in range(n_rows)]
        places = [(address, v * VECTOR_BYTES) for address in outputs for v in range(n_vectors)]

        def pair(index: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
            shift = builder.mul(index, _INT(4))
            left = block.row(x, x_stride, builder.add(x_rows, shift), 0)
            right = block.row(g, g_stride, builder.add(g_rows, shift), 0)
            vectors = [block.load(right, v * VECTOR_BYTES) for v in range(n_vectors)]
            return block.multiply_add([block.broadcast(left, r * block.size) for r in range(n_rows)], vectors, state)

        for value, place in zip(block.loop(count, [block.load(*p) for p in places], pair), places, strict=True):
            block.store(value, *place)
        return context.get_dummy_value()

    integers = [types.int64] * 9
    return types.void(rows, vectors, zero, *integers), generate


@intrinsic
def clear(typing, address, count):
    """Set ``count`` bytes to zero."""

    def generate(context, builder, signature, arguments):
        kinds = [_BYTE.as_pointer(), _BYTE, _INT, ir.IntType(1)]
        memset = builder.module.declare_intrinsic("llvm.memset.p0.i64", fnty=ir.FunctionType(ir.VoidType(), kinds))
        builder.call(memset, [builder.inttoptr(arguments[0], kinds[0]), _BYTE(0), arguments[1], kinds[3](0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def transposed_square(typing, zero, source, source_stride, out, out_stride):
    """Transpose a square of one vector of columns and as many rows."""

    def generate(context, builder, signature, arguments):
        _, source, source_stride, out, out_stride = arguments
        block = _Block(builder, zero)
        numbers = range(block.lanes)
        rows = [block.load(builder.add(source, builder.mul(_INT(r), source_stride))) for r in numbers]
        step = 1
        while step < block.lanes:  # exchange the off-diagonal quarters of all squares of 2 step x 2 step
            kind = ir.VectorType(ir.IntType(32), block.lanes)
            upper = [i + block.lanes - step if i & step else i for i in numbers]
            lower = [i + block.lanes if i & step else i + step for i in numbers]
            for r in numbers:
                if not r & step:
                    a, b = rows[r], rows[r + step]
                    rows[r] = builder.shuffle_vector(a, b, ir.Constant(kind, upper))
                    rows[r + step] = builder.shuffle_vector(a, b, ir.Constant(kind, lower))
            step *= 2
        for r in numbers:
            block.store(rows[r], builder.add(out, builder.mul(_INT(r), out_stride)))
        return context.get_dummy_value()

    return types.void(zero, *[types.int64] * 4), generate
