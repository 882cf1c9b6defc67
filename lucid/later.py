"""What `import lucid` leaves for its first use: names of functions, and the modules that they are in."""

from __future__ import annotations

_NAMES = {
    ".along": "apply_along_axis apply_over_axes vectorize",
    ".assembly": """append block block_diag cartesian_prod combinations delete diag_embed
        diagonal_scatter insert ix_ narrow resize rollaxis select_scatter slice_scatter swapdims
        trim_zeros""",
    ".bessel": "i0",
    ".buffers": "asanyarray asarray_chkfinite ascontiguousarray frombuffer fromiter fromstring real_if_close",
    ".changing": """abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_
        atan_ atanh_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_
        deg2rad_ erf_ erfc_ exp2_ exp_ expm1_ fill_ fix_ floor_ frac_ gcd_ i0_ index_put_
        lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_ rad2deg_
        reciprocal_ relu_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_
        trunc_ xlogy_ zero_""",
    ".choosing": """choose compress copyto diag_indices diag_indices_from extract fill_diagonal
        fromfunction indices lexsort mask_indices masked_scatter nanargmax nanargmin nancumprod
        nancumsum piecewise place put putmask ravel_multi_index select sort_complex take_along_dim
        tril_indices_from triu_indices_from unravel_index""",
    ".derivatives": "hessian jacfwd jacrev jvp linearize vjp",
    ".dtypes": "can_cast finfo iinfo isdtype promote_types result_type",
    ".grids": "c_ index_exp mgrid ogrid r_ s_",
    ".histograms": "histc histogram2d histogramdd",
    ".incomplete": "igamma igammac mvlgamma",
    ".linalg": """cholesky cholesky_inverse cholesky_solve cond det eig inverse logdet lstsq matrix_exp
        matrix_power matrix_rank matrix_transpose pinverse qr slogdet solve vecdot""",
    ".mapping": "vmap",
    ".nn.functional": """adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d batch_norm bilinear
        binary_cross_entropy_with_logits celu celu_ channel_shuffle conv1d conv2d conv3d
        conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss cosine_similarity
        ctc_loss dropout embedding embedding_bag feature_alpha_dropout group_norm hardshrink
        hinge_embedding_loss instance_norm kl_div layer_norm log_softmax margin_ranking_loss
        max_pool1d max_pool2d max_pool3d pairwise_distance pdist pixel_shuffle pixel_unshuffle
        poisson_nll_loss prelu relu rms_norm rrelu rrelu_ selu selu_ softmax threshold threshold_
        triplet_margin_loss""",
    ".polynomials": "poly polyadd polyder polydiv polyfit polyint polymul polysub polyval roots vander",
    ".questions": """aminmax array_equal array_equiv is_floating_point is_nonzero is_tensor iscomplexobj
        is_same_size is_signed isrealobj isscalar ndim shape size std_mean var_mean""",
    ".random": """Generator bernoulli default_generator get_rng_state initial_seed manual_seed multinomial
        normal poisson rand rand_like randint randint_like randn randn_like randperm seed set_rng_state""",
    ".residence": "device",
    ".saving": "load save",
    ".sequences": """argpartition argsort bucketize cummax cummin cumprod cumsum cumulative_prod
        cumulative_sum cumulative_trapezoid diff digitize ediff1d gradient histogram histogram_bin_edges
        intersect1d isin kthvalue logcumsumexp median mode msort nanmedian nanpercentile nanquantile
        partition percentile
        quantile searchsorted setdiff1d setxor1d sort topk trapezoid trapz union1d unique unique_all
        unique_consecutive unique_counts unique_inverse unique_values""",
    ".signals": """bartlett bartlett_window blackman blackman_window cdist convolve correlate dist hamming
        hamming_window hann_window hanning interp kaiser kaiser_window norm renorm unwrap""",
    ".spectra": "istft stft",
    ".testing.replaying": "replay",
    ".whole_numbers": """addcdiv addcmul bitwise_count divmod fabs frac frexp gcd isneginf isposinf
        lcm ldexp modf packbits spacing unpackbits""",
}
LATER = {name: module for module, names in _NAMES.items() for name in names.split()}
