"""tanh by tables, as loop instructions.

    tanh(a) = A a + P(r), a = |x|, r = a - c
    by A, c and the polynomial P of the quarter of an octave in which a + 5/8 is, of float64 a + 3/2

A is about tanh(c) / c, so that P is small; of float32 it is 0 from 7/8 on, and c so chosen that tanh(c) is a
float32 but for 2**-40. Either way but one rounding counts.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import steps as st

_START = {f32: 0.625, f64: 1.5}
_LAST = {f32: 9.25, f64: 19.2}  # from here on, it is 1
# In the order of the numbers: a from 1 3/8 on, 3 3/8, 7 3/8; from 0 on, 3/8. Of tanh 2**-31.7. Of float64 a
# from 1/2 on, 2 1/2, 6 1/2, 14 1/2 (with up to 1/2 at its end): 2**-55.3
# Rows: c, A, and the coefficients of P.
_TANH = {
    f32: """
        0x1.9eaf6p+0 0x1.105bd8p+1 0x1.501f78p+1 0x1.8f50d8p+1 0x1.f31d8p+1 0x1.36fcp+2 0x1.754d8p+2
        0x1.b8bf2p+2 0x1.154246p+3 0 0x1.8p-3 0x1.4p-2 0x1p-1 0x1.8p-1 0x1.011p+0 0x1.3efbfp+0
        0 0 0 0 0 0 0 0 0 1 0x1.fa154cp-1 0x1.eff5aap-1 0x1.d9353ep-1 0x1.a9fbe8p-1 0 0
        0x1.d965cp-1 0x1.f1adap-1 0x1.faaa3p-1 0x1.fe018p-1 0x1.ff947ep-1 0x1.fff03ap-1 0x1.fffdcp-1
        0x1.ffffbap-1 0x1.fffffep-1 0 0x1.df7fc6p-34 -0x1.8acf6p-29 -0x1.15509ap-27 0x1.6d5416p-7
        0x1.86d36ap-1 0x1.b1bfe4p-1
        0x1.292dbp-3 0x1.c3e318p-5 0x1.53ac92p-6 0x1.fd818p-8 0x1.addacap-10 0x1.f8b84p-13 0x1.1fff6ap-15
        0x1.17ffe4p-18 0x1.0000a6p-23 0 -0x1.756d1cp-6 -0x1.ee0356p-5 -0x1.1a2fdcp-3 -0x1.e220d8p-3
        0x1.ab572ap-2 0x1.21154ep-2
        -0x1.12c5bep-3 -0x1.b73f28p-5 -0x1.502274p-6 -0x1.fb857cp-8 -0x1.ad8178p-10 -0x1.f8a9dcp-13
        -0x1.1ffeacp-15 -0x1.180008p-18 -0x1.ff79d8p-24 0 -0x1.6e8668p-3 -0x1.19922p-2 -0x1.74274p-2
        -0x1.8403eap-2 -0x1.4633dap-2 -0x1.e9cdbcp-3
        0x1.35fe48p-4 0x1.1454b2p-5 0x1.b6d04cp-7 0x1.4fb564p-8 0x1.1de06p-10 0x1.505aaep-13 0x1.7ff5c8p-16
        0x1.7556bep-19 0x1.556efp-24 -0x1.555554p-2 -0x1.27a51ap-2 -0x1.c1a2fcp-3 -0x1.81d9d6p-4 0x1.567e64p-5
        0x1.aa3a76p-4 0x1.bc78dep-4
        -0x1.9dd454p-6 -0x1.e8c7fcp-7 -0x1.a44e64p-8 -0x1.4a73fep-9 -0x1.1cc2bep-11 -0x1.4ff992p-14
        -0x1.7fbabcp-17 -0x1.7520fp-20 -0x1.5d5102p-25 -0x1.9230fcp-20 0x1.cf80b2p-4 0x1.43d834p-3
        0x1.513f8ap-3 0x1.98cc4cp-4 0x1.b65a9p-6 -0x1.8fbf42p-7
        0x1.60038ap-10 0x1.25b068p-8 0x1.33416ep-9 0x1.001d58p-10 0x1.c3e77ap-13 0x1.0cd2c8p-15 0x1.33c67p-18
        0x1.2a3ba2p-21 0x1.0592a2p-26 0x1.11262ep-3 0x1.8d062ep-4 0x1.684348p-5 -0x1.bd4ffp-6 -0x1.05d254p-4
        -0x1.7a9718p-5 -0x1.4ccb18p-6
        0x1.1ace8cp-8 -0x1.1c4f64p-11 -0x1.4d6e2p-11 -0x1.40883ep-12 -0x1.332c2cp-14 -0x1.71c308p-17
        -0x1.a653e8p-20 -0x1.9b0194p-23 -0x1.00225cp-28 -0x1.f667ecp-12 -0x1.e095a6p-5 -0x1.30195p-4
        -0x1.9a2aaep-5 -0x1.aeabc2p-9 0x1.36c8bap-6 0x1.ec9c34p-7
        -0x1.7daf6ep-9 -0x1.55d052p-12 0x1.8d450ep-14 0x1.2dd304p-14 0x1.651028p-16 0x1.97765ep-19
        0x1.bc71eep-22 0x1.e16bd4p-25 0x1.d3533p-29 -0x1.a76c56p-5 -0x1.cd216p-5 0x1.aed772p-3 0x1.b82a02p-6
        0x1.1f01a8p-6 0x1.0233e2p-6 0x1.69cb9ap-6
    """,
    f64: """
        0x1.8p-1 0x1.4p+0 0x1.cp+0 0x1.2p+1 0x1.8p+1 0x1p+2 0x1.4p+2 0x1.8p+2 0x1.ep+2 0x1.3p+3 0x1.7p+3
        0x1.bp+3 0x1.08p+4 0x1.48p+4 0 0x1.8p-2
        0x1.b198531c3ed8bp-1 0x1.5b74fc9228b25p-1 0x1.136b69fef8c16p-1 0x1.bd1c4d1effd7p-2
        0x1.53a5360bc0755p-2 0x1.ffa81708a0b42p-3 0x1.999014520b274p-3 0x1.5554427296e28p-3
        0x1.1111061e35371p-3 0x1.af286b790c544p-4 0x1.642c858f781fbp-4 0x1.2f684bda0e108p-4
        0x1.f07c1f07c1eb6p-5 0x1.8f9c18f9c18fap-5 1 0x1.e946fd36614ebp-1
        -0x1.1d4f8b61c9afep-56 -0x1.80e56ea803c4dp-57 0x1.03693d7208fd8p-55 0x1.3182a3d0c25f8p-56
        0x1.8dee7ab5a092ap-55 0x1.672da9fa114cp-57 0x1.a7fe22b5c683ep-56 -0x1.122cd726371afp-56
        -0x1.4ce24f57a75c2p-54 0x1.6befa33f927b3p-59 -0x1.684f0c2179ccp-54 -0x1.4c3b2c7a10c56p-57
        0x1.8ab8930cfe428p-55 -0x1.5cdaf9fafad43p-55 0 -0x1.3aba102b5bab1p-56
        -0x1.004942592fd38p-2 -0x1.97c4e60616d8ap-2 -0x1.b24bab8d5efdep-2 -0x1.909a3bca65174p-2
        -0x1.498ae37fe2926p-2 -0x1.fce90badfe9d5p-3 -0x1.9930e0a1bc7fap-3 -0x1.55475fd6d9be2p-3
        -0x1.111061e356bb8p-3 -0x1.af286574f6959p-4 -0x1.642c857342f7dp-4 -0x1.2f684bd989cdfp-4
        -0x1.f07c1f07c1438p-5 -0x1.8f9c18f9c18f9p-5 0x1.119e9abc3e7c7p-66 -0x1.583a11a837acap-4
        -0x1.8403d3dda873p-2 -0x1.e7291743d7565p-3 -0x1.b6d85a01efb7ep-4 -0x1.5c3d90eb2156bp-5
        -0x1.41b109ca6ac2bp-7 -0x1.5f495227af2c2p-10 -0x1.7cc5e74676563p-13 -0x1.9c522b95a37d9p-16
        -0x1.4875afcbaeb44p-20 -0x1.81056f6213bf3p-26 -0x1.c3527e4039d53p-32 -0x1.088529876c2b5p-37
        -0x1.4fb54cb725dd9p-46 -0x1.d53ca6511610fp-58 -0x1.a9af8ab7dd15ap-56 -0x1.3fd54e226f8f8p-2
        0x1.568057c9313b1p-5 0x1.bba40cbef70f5p-4 0x1.01ba038be6b08p-4 0x1.bbccd8b106c92p-6
        0x1.a8acaf7d8bad7p-8 0x1.d3c0e480891c6p-11 0x1.fb9aef91896ffp-14 0x1.12dfb7a6431b7p-16
        0x1.b5f21c96bd05bp-21 0x1.00ae49dde65fdp-26 0x1.2ce1a97a9799p-32 0x1.60b18cb06ea1bp-38
        0x1.bf9bfef4a26e2p-47 0x1.1e88729774c82p-58 -0x1.55555555554e7p-2 -0x1.6dc4f6e8f8906p-3
        0x1.989565d7ec22cp-4 -0x1.9c7a0278731f3p-7 -0x1.8157e26e0e01fp-6 -0x1.93c692cfa89a6p-7
        -0x1.a03a0ef678cfap-9 -0x1.d27f65e9097c1p-12 -0x1.fb6bbc8a0a7a6p-15 -0x1.12dc422e6740bp-17
        -0x1.b5f1d65a1792p-22 -0x1.00ae491d0995p-27 -0x1.2ce1a976a2964p-33 -0x1.60b18cb08ffb1p-39
        -0x1.bf9c0388ec12p-48 -0x1.7fe14c154ac62p-59 -0x1.6ab29fead56dp-41 0x1.584c5e7f19f1p-3
        -0x1.064adc7ea6918p-4 -0x1.3a7a011f8ff3p-6 0x1.e4709c7d6a1a4p-9 0x1.055f847c7c2dcp-8
        0x1.3f93f71165646p-10 0x1.7330e8d8cc4c4p-13 0x1.95a4482571334p-16 0x1.b7bbbed9f0844p-19
        0x1.5e5aa258ae764p-23 0x1.9ab07392719e3p-29 0x1.e16910441b77dp-35 0x1.1a27a470d0545p-40
        0x1.661ac258989e4p-49 0x1.59c81aeb2e035p-63 0x1.111111124822ep-3 0x1.31a9afcbb4abap-6
        -0x1.05c251daaf1d4p-10 0x1.f1cf6c772dcedp-7 0x1.03798120acf2fp-9 -0x1.82d7cb51b19ffp-11
        -0x1.86cf8b472fd5bp-12 -0x1.e9940cbdd05abp-15 -0x1.0e08de2c9d12fp-17 -0x1.251912c3feadp-20
        -0x1.d32257628405dp-25 -0x1.11caf477e891cp-30 -0x1.40f0b5685039p-36 -0x1.7834db367517fp-42
        -0x1.dd78c9dd2603bp-51 -0x1.1ce8d552398ddp-60 -0x1.40676edacce3ep-30 -0x1.1d58913b23955p-4
        0x1.62a660822fc2dp-6 -0x1.326bd520d915cp-8 -0x1.fc15afff48a97p-10 -0x1.9a521b3a63e59p-14
        0x1.6f7fad5687e54p-14 0x1.11ab120236569p-16 0x1.33b66f6c6bea9p-19 0x1.4ed65ac10b9c1p-22
        0x1.0aed96a88675fp-26 0x1.38e7c5427d739p-32 0x1.6ec9c6f070565p-38 0x1.adf30f2824592p-44
        0x1.10adfe74d4521p-52 -0x1.084dc6442bd04p-61 -0x1.ba1b94520a77ep-5 0x1.a7c69d153dec6p-7
        -0x1.54b079ff0063ap-7 -0x1.ca3f0216ff1f3p-11 0x1.c77debeae5159p-11 0x1.4adc4158101fcp-13
        -0x1.ab8090f7900ddp-17 -0x1.05888482d5947p-18 -0x1.31eab3fa02e5dp-21 -0x1.4e92e6d9f993ep-24
        -0x1.0aeaeb27d2c99p-28 -0x1.38e7b7e440b06p-34 -0x1.6ec9c82f0b6e2p-40 -0x1.adf310fa942b4p-46
        -0x1.10af4b67a3166p-54 -0x1.8780ffb1024eep-62 -0x1.87ab4655f7717p-22 0x1.7891907290d93p-6
        -0x1.05c600696b909p-9 0x1.be93f154fbc3dp-10 -0x1.a0c75ccc7125cp-13 -0x1.548ae21b6148ep-14
        -0x1.1d9abb34b4f38p-20 0x1.a60b58bbeb433p-21 0x1.0cbc5b2f8491ap-23 0x1.28ee4def39ba1p-26
        0x1.da8583b5095ddp-31 0x1.162909c804f0ep-36 0x1.460f88c9f12e5p-42 0x1.7e35696cc260ap-48
        0x1.e7ec2db1b0f4ep-57 -0x1.4487c911e881dp-63 0x1.665ef4dd2e96p-6 -0x1.7b229d523d8e1p-7
        0x1.21ba4c3ee59bbp-8 -0x1.b85630476b82ap-11 -0x1.078847b827a1p-15 0x1.cd725574ae271p-16
        0x1.bf3e827709bddp-20 -0x1.0d96b98d8b63p-23 -0x1.a3c7add6c480dp-26 -0x1.d997392ed3c5bp-29
        -0x1.7b8e7ef16fbf4p-33 -0x1.bd0de339caa2cp-39 -0x1.04d914956b6d1p-44 -0x1.31c4293fb312bp-50
        -0x1.86472b8325bap-59 -0x1.d76f8c9e27912p-65 -0x1.c8847720bf51ep-16 -0x1.67779de79997bp-8
        -0x1.8fd65a30fd547p-10 0x1.9b45f7d762efcp-14 0x1.d475aa41e03b2p-15 -0x1.7b3edf5433c38p-18
        -0x1.a067bf8c93defp-21 0x1.8b5728bbe983bp-27 0x1.2284a174abbd3p-28 0x1.5633d5ca155bfp-31
        0x1.132659e389831p-35 0x1.42b82cca4c72p-41 0x1.7a4bca4cf8b61p-47 0x1.bb7066355c145p-53
        0x1.0b5f6133e90c6p-61 -0x1.d3f70a66147efp-67 -0x1.1dd06d6bbce55p-7 0x1.8a0e05ae0bfbdp-8
        -0x1.72dbcded07ad9p-11 0x1.3619f6cc77a2ap-13 -0x1.f1b8615b86dddp-16 -0x1.27c3fab53324ep-22
        0x1.179ac7e148ca4p-22 0x1.ec17fbf3658adp-30 -0x1.5c164934df964p-31 -0x1.c27a65c3646edp-34
        -0x1.6eaa9b0e30f23p-38 -0x1.ae4f6897394bp-44 -0x1.f86bb9531b384p-50 -0x1.27a430c3ee94fp-55
        -0x1.64d8d4c949ba9p-64 -0x1.5a6f3c12f3d3ap-69 -0x1.0bebb7d709c07p-11 0x1.897be30661891p-12
        0x1.a7a8919d7d2d4p-11 -0x1.de593056c42e6p-14 0x1.16ae5f798a1c2p-17 0x1.011c9643d36a4p-20
        -0x1.285c83c41918bp-24 -0x1.a2bb289445299p-30 0x1.470531f98d512p-34 0x1.122a9d1169d5ap-36
        0x1.e50df0d519b2bp-41 0x1.1d285af5b74bbp-46 0x1.4e47d8d79b0b1p-52 0x1.87d82fb0488dbp-58
        0x1.334c183bfbd28p-66 -0x1.38b260e106ba6p-72 0x1.3d73c343c6a21p-8 -0x1.367e10cb908f8p-9
        -0x1.2fc039c63bb8bp-13 0x1.09f349005978ep-15 0x1.29fcb98b16d1p-23 -0x1.17c3555ab64fdp-21
        0x1.a731573209595p-27 0x1.278ab0959d1cbp-31 -0x1.157a7342609bep-38 -0x1.27c91353898dbp-39
        -0x1.1424c3ec81542p-43 -0x1.45ac09c47a9d4p-49 -0x1.7dcba3f1e9771p-55 -0x1.bf8aba02331e1p-61
        -0x1.5e6582467b69p-69 -0x1.36c36d248a87p-76 -0x1.f4b3514514b9ap-10 0x1.0a2c9cfb391e1p-11
    """,
}


@st.odd(None, None)
def tanh(b: Builder, x: Operand) -> Operand:
    """The hyperbolic tangent. -0 at -0, 1 at inf, -1 at -inf."""
    (centres, factors, start, *terms), form = st.rows(_TANH[x.dtype]), st.form_of(x)
    a = st.at_most(b, x, _LAST[x.dtype])
    number = st.quarter(b, a + _START[a.dtype])
    r = a - st.element(b, number, centres)
    # Where powers of r would be denormal, P does not count: r and A are 0 there, and what is added is a, as a
    # product with a denormal number takes a hundred times as long.
    usual = a >= form.half
    r = b.op("select", usual, r, 0.0)
    beyond = st.by_elements(b, number, r, terms)
    beyond = b.op("fma", beyond, r, b.op("select", usual, st.element(b, number, start), a))
    return b.op("fma", b.op("select", usual, st.element(b, number, factors), 0.0), a, beyond)
