"""What lucid does otherwise than PyTorch, with the reason, and names that it has not. The run fails where an op
differs in a way that is not here, and where something here does not happen any more."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .trial import Outcome


@dataclass(frozen=True)
class Known:
    """Outcomes of one kind of some ops (all, for "*") with `detail` in what is said of them."""

    reason: str
    kind: str
    ops: str = "*"
    detail: str = ""

    def holds(self, outcome: Outcome) -> bool:
        return (
            outcome.kind == self.kind
            and (self.ops == "*" or outcome.op.split(" (")[0] in self.ops.split())
            and re.search(self.detail, outcome.detail) is not None
        )


RELAXED = """arange complex cov isclose nn.functional.conv1d nn.functional.conv2d nn.functional.conv3d masked_fill scatter
    scatter_add index_add trace tril triu mean linalg.cross clamp logaddexp isin gradient roll nn.functional.rms_norm
    nn.functional.max_pool1d nn.functional.max_pool3d nn.functional.triplet_margin_loss
    nn.functional.triplet_margin_with_distance_loss"""
DECIDED = [
    Known("integers and bools are computed in float64, bools in float16, as NumPy does", "dtype", detail="^(float16|float64|complex128|int8), PyTorch (float32|complex64|int64|bool)$"),
    Known("NumPy's dtype for bools and ints: their sum, square, reciprocal", "dtype", "sum_to_size square reciprocal"),
    Known("a function of bools or ints is NumPy's", "value", "reciprocal hardtanh nn.functional.hardtanh nn.functional.local_response_norm argsort"),
    Known("NumPy's names: values alone, positions by argmax, argsort", "structure", "max min median nanmedian sort"),
    Known("the median of an even number is the mean of two, as NumPy's", "value", "median nanmedian"),
    Known("NumPy's max and min of two are maximum and minimum", "raises", "max min", "axis|iteration"),
    Known("the divisor of var and std is n, as NumPy's", "value", "std var"),
    Known("sums up to each element of a number have one axis, as NumPy's", "shape", "cumsum cumprod"),
    Known("NumPy rounds floats, not the ends, where ints are asked for", "value", "arange linspace logspace"),
    Known("NumPy counts the steps of floats, where ints are asked for", "shape", "arange"),
    Known("ints times floats are floats, as NumPy's", "value", "baddbmm addmm addbmm addmv addr"),
    Known("transpose(0, 1) of a matrix: NumPy and PyTorch differ", "raises", "transpose", "NumPy leaves it"),
    Known("only axes of extent 1 are squeezed, as NumPy's", "raises", "squeeze"),
    Known("NumPy's repeat; PyTorch's is tile", "raises", "repeat"),
    Known("NumPy's put and its modes", "raises", "put"),
    Known("NumPy's triangles: n, k, m", "raises", "triu_indices tril_indices"),
    Known("NumPy's norms of nothing, and one tolerance at a time", "raises", "linalg.norm linalg.matrix_rank"),
    Known("NumPy has no sign of bools, no negative powers of ints", "raises", "sign sgn __rpow__"),
    Known("floats do not become ints in place", "raises", "heaviside", "in place"),
    Known("shapes of operands must fit, as NumPy's", "raises", "tensordot cat linalg.solve gather"),
    Known("the last axis by default, as NumPy's take_along_axis", "shape", "take_along_dim"),
    Known("the imaginary part of a complex logarithm is at most pi, as NumPy's", "value", "logaddexp logcumsumexp"),
    Known("which of equal elements is not said", "value", "kthvalue topk"),
    Known("the diagonal of a Cholesky factor is real, and so is its gradient", "value", "cholesky linalg.cholesky"),
    Known("lucid computes with wider weights", "value", "cov"),
    Known("lucid's digits: PyTorch has 1/6 in float32, pi in float32, 0 in a tail", "value", "nn.functional.hardsigmoid sinc special.ndtr"),
    Known("lucid computes in float64", "value", "matrix_exp linalg.matrix_exp"),
    Known("PyTorch's gradient is that of the logits, lucid's that of the logarithms, as differences are", "value", "nn.functional.ctc_loss"),
    Known("what is not read has no gradient: the other triangle", "value", "cholesky_inverse cholesky_solve", r"np\.\w+\((0\.0|0j)\), PyTorch"),
    Known("of several that go to one place the last one has the gradient", "value", "nn.functional.max_unpool1d nn.functional.max_unpool2d nn.functional.max_unpool3d", r"np\.float64\(0\.0\), PyTorch"),
    Known("spectra that no signal has: lucid's signal fits best in squares", "value", "istft"),
    Known("drawn at random", "value", "nn.functional.scaled_dot_product_attention nn.functional.rrelu nn.functional.alpha_dropout nn.functional.feature_alpha_dropout nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d"),
    Known("an empty batch norm has its batch axis", "shape", "nn.functional.batch_norm"),
    Known("other solutions where the rank is not full: lucid's are least, NumPy's", "value", "linalg.lstsq"),
    Known("NumPy's four results", "shape", "linalg.lstsq"),
    Known("the database asks for two of four results", "structure", "linalg.lstsq"),
    Known("singular values above 1e-15 of the greatest count, as in NumPy", "value", "linalg.pinv"),
    Known("vectors beyond the singular values have no gradient", "raises", "linalg.svd"),
    Known("eps is not negative, pads are not beyond", "raises", "nn.functional.layer_norm nn.functional.pad"),
    Known("what has no gradient says so", "raises", "nextafter zero_ special.xlog1py"),
    Known("a count of more than minlength needs it in a compiled function", "raises", "bincount"),
    Known("counts are ints, as NumPy's", "dtype", "histogram"),
    Known("a mean pool is of floats", "raises", "nn.functional.avg_pool1d nn.functional.avg_pool2d nn.functional.avg_pool3d"),
    Known("random numbers are real", "raises", "randn rand_like randn_like normal"),
    Known("values decide a shape or an int: not in a compiled function", "outside"),
    Known("degrees of polynomials are Python's ints", "raises", detail="n must be an int, not Tensor"),
    Known("numbers stand where PyTorch asks for tensors", "returns", detail="^PyTorch: $"),
    Known("what NumPy takes: operands of several dtypes and shapes, empty ranges, negative tolerances", "returns", RELAXED),
]  # fmt: skip

LACKING = [
    Known("numbers as vectors of one element", "raises", "scatter unfold transpose gather nn.functional.multi_margin_loss"),
]  # fmt: skip

LEFT_OUT = {
    "sparse, quantised and nested tensors": "sparse.sampled_addmm sparse.mm to_sparse _segment_reduce hash_tensor",
    "PyTorch's own parts, which programs do not call": """_softmax_backward_data native_group_norm native_layer_norm
        native_batch_norm _native_batch_norm_legit _batch_norm_with_update constant_pad_nd _upsample_bilinear2d_aa
        max_pool2d_with_indices_backward torch._scaled_mm_v2 torch._scaled_mm torch.ops.aten._safe_softmax.default
        torch.ops.aten._flash_attention_forward torch.ops.aten._efficient_attention_forward _unsafe_masked_index
        _unsafe_masked_index_put_accumulate _chunk_cat native_dropout_backward grid_sampler_2d grid_sampler_3d
        jiterator_unary jiterator_binary jiterator_4inputs_with_extra_args jiterator_binary_return_by_ref
        jiterator_2inputs_2outputs unsafe_chunk unsafe_split resolve_neg nonzero_static
        nn.functional.linear_cross_entropy nn.functional.multi_head_attention_forward slice""",
    "methods that draw at random, which samples do not show": "cauchy exponential geometric log_normal uniform",
    "copies under another name: no memory is shared anyway": """expand_copy diagonal_copy alias_copy as_strided_copy
        narrow_copy view_copy permute_copy split_with_sizes_copy unbind_copy unfold_copy squeeze_copy unsqueeze_copy
        transpose_copy t_copy""",
    "memory as it lies, which tensors do not show": """as_strided as_strided_scatter new_empty_strided empty_strided
        empty_permuted resize_ resize_as_ chalf""",
    "factorisations in LAPACK's own form": """geqrf ormqr lu lu_unpack lu_solve linalg.lu linalg.lu_factor
        linalg.lu_factor_ex linalg.lu_solve linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve
        linalg.householder_product linalg.cholesky_ex linalg.inv_ex linalg.solve_ex svd svd_lowrank pca_lowrank
        triangular_solve""",
    "special functions that few programs meet": """special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0
        special.bessel_y1 special.modified_bessel_k0 special.modified_bessel_k1 special.scaled_modified_bessel_k0
        special.scaled_modified_bessel_k1 special.spherical_bessel_j0""",
    "torch.masked, a prototype": """masked.sum masked.prod masked.cumsum masked.cumprod masked.amax masked.amin
        masked.argmax masked.argmin masked.mean masked.median masked.norm masked.var masked.std masked.softmax
        masked.log_softmax masked.softmin masked.normalize masked.logaddexp masked.logsumexp""",
    "windows in scipy's form: lucid has hamming_window and its kin": """signal.windows.hamming signal.windows.hann
        signal.windows.bartlett signal.windows.blackman signal.windows.cosine signal.windows.exponential
        signal.windows.gaussian signal.windows.kaiser signal.windows.general_cosine signal.windows.general_hamming
        signal.windows.nuttall""",
}
