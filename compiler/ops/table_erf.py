"""erf by tables, as loop instructions.

    erf(a) = A a + P(r), a = |x|, r = a - c, c the next multiple of 17/64, of float64 25/64

by its A and polynomial P. A is about erf(c) / c, so that P is small and but one rounding counts.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import steps as st

_MORE = float.fromhex("0x1.06eba8214db69p-3")  # 2/sqrt(pi) - 1
_STEP = {f32: 17 / 64, f64: 25 / 64}
_RANGE = {f32: 4.0, f64: 6.0}  # from here on, erf is 1
_SMALL = {f32: 2.0**-90, f64: 2.0**-200}  # below, products of the polynomial may be denormal
# By the multiples: A, and the coefficients of P. Of erf 2**-27.8 and 2**-56.9
_ERF = {
    f32: """
        0x1.20dd76p+0 0x1.1a3674p+0 0x1.07d824p+0 0x1.db9c0ap-1 0x1.a1d1fp-1 0x1.6a3decp-1 0x1.397ad4p-1
        0x1.1101dp-1 0x1.e09a7ap-2 0x1.ac07c4p-2 0x1.81708p-2 0x1.5e7282p-2 0x1.4140b8p-2 0x1.288aecp-2
        0x1.135c7ep-2 0x1.0101p-2
        0 -0x1.92717ep-29 -0x1.0ae84ep-27 -0x1.aeaafcp-27 0x1.7c12d8p-26 0x1.1d0152p-25 0x1.8b962ap-27
        0x1.0e6952p-26 -0x1.29ee54p-29 0x1.0052e4p-25 0x1.e28132p-27 0x1.a85be6p-28 -0x1.095d98p-25
        0x1.8da78p-25 0x1.b91888p-26 0x1.6969fap-25
        -0x1.0f8404p-24 -0x1.a0d9dp-5 -0x1.70152cp-3 -0x1.52e7d6p-2 -0x1.cdfac4p-2 -0x1.073c2p-1
        -0x1.0beb08p-1 -0x1.fd9968p-2 -0x1.d3f768p-2 -0x1.a838dcp-2 -0x1.80716p-2 -0x1.5e3888p-2
        -0x1.413546p-2 -0x1.2888f6p-2 -0x1.135c34p-2 -0x1.0100f6p-2
        0 -0x1.1e0298p-2 -0x1.cee5acp-2 -0x1.e7eff2p-2 -0x1.8d03aep-2 -0x1.06fcc8p-2 -0x1.2274b8p-3
        -0x1.0ed602p-4 -0x1.ada87p-6 -0x1.23547ep-7 -0x1.52d7b2p-9 -0x1.52d05ep-11 -0x1.23c452p-13
        -0x1.b15756p-16 -0x1.15ccd2p-18 -0x1.33b66ep-21
        -0x1.81260cp-2 -0x1.34435ep-2 -0x1.fa04dp-4 0x1.b8dafep-5 0x1.3952aep-3 0x1.4db286p-3 0x1.efba44p-4
        0x1.1f2d1ep-4 0x1.0ea588p-5 0x1.a7af3ap-7 0x1.16be78p-8 0x1.36a156p-10 0x1.26af44p-12 0x1.ddb5dap-15
        0x1.4bb9c6p-17 0x1.8bcca4p-20
        0 0x1.1084d8p-3 0x1.77cc76p-3 0x1.19617p-3 0x1.88e98p-5 -0x1.72219ap-6 -0x1.92c712p-5 -0x1.616808p-5
        -0x1.afe846p-6 -0x1.995614p-7 -0x1.39bfc8p-8 -0x1.8d5fb4p-10 -0x1.a512a8p-12 -0x1.7857cp-14
        -0x1.1d4e5ap-16 -0x1.72849ap-19
        0x1.cb4874p-4 0x1.3624aap-4 -0x1.bb7598p-10 -0x1.e63dbp-5 -0x1.0de732p-4 -0x1.2e084p-5 -0x1.5153a4p-8
        0x1.6500f6p-7 0x1.978e3p-7 0x1.088066p-7 0x1.f6387p-9 0x1.771c64p-10 0x1.c778c8p-12 0x1.c9acecp-14
        0x1.80d678p-16 0x1.ebe26ap-19
        0 -0x1.528946p-5 -0x1.8be40cp-5 -0x1.55347ep-6 0x1.55500ap-7 0x1.6b23b8p-6 0x1.017314p-6 0x1.34a658p-8
        -0x1.cf0b32p-10 -0x1.930c28p-9 -0x1.12eaf2p-9 -0x1.010ep-10 -0x1.704186p-12 -0x1.a67824p-14
        -0x1.8d244p-16 -0x1.ae07f4p-18
    """,
    f64: """
        0x1.20dd750429b6dp+0 0x1.12d24bc6062e5p+0 0x1.deec15b73431ep-1 0x1.8a531a3e30825p-1
        0x1.3ecaa33f522dbp-1 0x1.04a37e830d0fdp-1 0x1.b48171fa3c2d6p-2 0x1.76733dfbbc047p-2
        0x1.47ad3ff3018a1p-2 0x1.23455ae0dacafp-2 0x1.0624dc9d97a75p-2 0x1.dca01dc032743p-3
        0x1.b4e81b4e42575p-3 0x1.934c67f9b19ccp-3 0x1.767dce434a96cp-3 0x1.5d867c3ece2a4p-3
        0 0x1.7c7d8565b61fcp-55 -0x1.565fc4db45bddp-56 -0x1.59df59672e7e3p-57 0x1.8736ec42925b3p-54
        0x1.a7e2da87ef0efp-55 0x1.07cc1151db98ap-57 -0x1.5c57725d91971p-56 -0x1.c6e62bc471f2dp-55
        0x1.db5d3eefda3eep-58 -0x1.1deae9eec55e8p-55 0x1.a99d299efb6cap-58 -0x1.294ebd81e2925p-55
        -0x1.75336ef99c7d2p-57 0x1.d41d425646afp-55 0x1.6db8fd17131c7p-54
        0x1.16fc61a847a27p-56 -0x1.ad5e96d6a7f76p-4 -0x1.4a3ea80bfab88p-2 -0x1.f000e0e276e11p-2
        -0x1.0c81c1f31b5aep-1 -0x1.efce4e7ac4518p-2 -0x1.afc04b8cfb48p-2 -0x1.75cbcd5a6e089p-2
        -0x1.479c46114cacep-2 -0x1.2344162654848p-2 -0x1.0624cabbaf4fap-2 -0x1.dca01c4c9aae9p-3
        -0x1.b4e81b4324f3fp-3 -0x1.934c67f972e33p-3 -0x1.767dce434991ep-3 -0x1.5d867c3ece272p-3
        0 -0x1.837a59aa733fdp-2 -0x1.ea4feea4e5aedp-2 -0x1.56f1bdf85e61ep-2 -0x1.3a47801c56a46p-3
        -0x1.8dfda7411cb56p-5 -0x1.649642020335ep-7 -0x1.c9d7f9113cbf6p-10 -0x1.a8670aa99a4cap-13
        -0x1.1d67f003e924fp-16 -0x1.1769ce59fbd97p-20 -0x1.8f2c0951c419fp-25 -0x1.a0ce0dc03b0e6p-30
        -0x1.3e8649980f398p-35 -0x1.64ac1f98bddfcp-41 -0x1.24d86a22a8d6bp-47
        -0x1.812746b0379ddp-2 -0x1.cb7bf78e2de8ep-3 0x1.715e59534347p-5 0x1.54c0d66d77647p-3
        0x1.0453f90d3bd23p-3 0x1.c24b2053e3387p-5 0x1.fa73d7eb1b76dp-7 0x1.85661421616c3p-9
        0x1.a3737e2a2f138p-12 0x1.40ee07ac5049fp-15 0x1.5fe5d475616p-19 0x1.161fb53919facp-23
        0x1.3e380dd749597p-28 0x1.085b86615df8cp-33 0x1.3fa8302936da5p-39 0x1.19d11fed20c16p-45
        0 0x1.5c0fc7760d1b9p-3 0x1.22cdbdb4d03ffp-3 0x1.cf82bac1bb1d2p-7 -0x1.8a7c6a2399097p-5
        -0x1.33137b26e0b58p-5 -0x1.daa3005c29255p-7 -0x1.c812e602cb8c6p-9 -0x1.24544f02d8dd8p-11
        -0x1.02488b68b0ba2p-14 -0x1.405da0482f2e1p-18 -0x1.1a2239f478521p-22 -0x1.638bc504b29b9p-27
        -0x1.425699581155ap-32 -0x1.a62b711e6fd53p-38 -0x1.909da69976cabp-44
        0x1.ce2f21a03ebc2p-4 0x1.4dd7b2ce02ec6p-5 -0x1.da50ae54a0d04p-5 -0x1.cf38b9994f5b1p-5
        -0x1.075c0880215ffp-7 0x1.a342ba0e7b78cp-7 0x1.250942c3101b9p-7 0x1.7e02d8bc34eep-9
        0x1.2e7e763d3fa4dp-11 0x1.3b124fb17d669p-14 0x1.bfc96a9263fd4p-18 0x1.bb32ded20f6afp-22
        0x1.35753ad8d0136p-26 0x1.338c4999f1097p-31 0x1.b5c6197ec2ebep-37 0x1.c055e129e848ap-43
        0 -0x1.9ebc1ddc98d1bp-5 -0x1.75578f4eb43a8p-6 0x1.2c1727047b824p-6 0x1.16f9c9c9ae79dp-6
        0x1.b4bbc4ed583edp-10 -0x1.997578d32f258p-9 -0x1.c52293948b176p-10 -0x1.da496e4bb354dp-12
        -0x1.2c5950466589dp-14 -0x1.f19ff60fdba13p-18 -0x1.17c6eec70edd6p-21 -0x1.b41f30d22602cp-26
        -0x1.dd9c467303853p-31 -0x1.72de1b2c414e1p-36 -0x1.9b1eb2353fe27p-42
        -0x1.b82ce308aeffp-6 -0x1.099777f456ea4p-8 0x1.35331b65de704p-6 0x1.e06b84493d1ffp-8
        -0x1.74c2fca9ca5fdp-8 -0x1.04937e803cfb5p-8 -0x1.3903db2e4ef19p-15 0x1.583413ac02134p-11
        0x1.176cf6593c10fp-12 0x1.c5586b3755ee1p-15 0x1.c0c4db887dab6p-18 0x1.22b6eec45d2c1p-21
        0x1.fe694c66f5048p-26 0x1.35de347c7eefep-30 0x1.07aeb43e6ff24p-35 0x1.3d70c17e20614p-41
        0 0x1.70748390dc912p-7 0x1.39c839c65381ep-10 -0x1.8df7e621117efp-8 -0x1.760c7a1484637p-10
        0x1.9f5a2907d51f5p-10 0x1.6a6d8b515a86cp-11 -0x1.48c1d9d941b0fp-14 -0x1.d2ac7578c64b6p-14
        -0x1.0dba1d1eebfcp-15 -0x1.4b9dea84eda21p-18 -0x1.f8ada20cb2185p-22 -0x1.f8afdf7fb21bbp-26
        -0x1.563892fa29ed3p-30 -0x1.40c7dfdccc3cep-35 -0x1.a4f42c6042a22p-41
        0x1.565bc185f637p-8 -0x1.8a60ef99e7ba6p-13 -0x1.fc371a1575c74p-9 0x1.471e56c6445f5p-13
        0x1.a3cdc25b73f18p-10 0x1.665687c654e2dp-14 -0x1.71ebd00597a2dp-12 -0x1.4fa98e2594f76p-14
        0x1.aafde554216f3p-16 0x1.ea4b98087d2c4p-17 0x1.9133d36055f61p-19 0x1.70d76366d35f8p-22
        0x1.aa77929ee6077p-26 0x1.45ee9253fd6d6p-30 0x1.528fa2e877736p-35 0x1.e68cc8c373531p-41
        0 -0x1.040dfbc69ea49p-9 0x1.9bf4421f665aap-12 0x1.1168013b1c843p-10 -0x1.02abc40b3edfbp-12
        -0x1.4a6098b2813a4p-12 0x1.642c5c80e6615p-15 0x1.e4131f8cf02e7p-15 0x1.0408592d15247p-18
        -0x1.31e87f8711b88p-18 -0x1.8717b0b8ab37dp-20 -0x1.c675429a8ee87p-23 -0x1.35f5a2d7c2585p-26
        -0x1.0df008ae9d728p-30 -0x1.38c3c4b528fbcp-35 -0x1.ef0c3d9b42a78p-41
        -0x1.c01fd4c51bfp-11 0x1.6784b1af83e45p-13 0x1.2f60d4c78c3fep-11 -0x1.03b61b9e2bcf8p-12
        -0x1.929443b0de386p-13 0x1.9a8f4d8bb5e3ap-14 0x1.4c809c2ab250bp-15 -0x1.058f9a647c524p-16
        -0x1.ab42e68f857d1p-18 0x1.1870da92c71acp-21 0x1.24ecbcfae9ecap-21 0x1.d4be64b531078p-24
        0x1.84e32998951b8p-27 0x1.87f8d9e699918p-31 0x1.ff7bf7361f4ddp-36 0x1.ba8e7bb32fc84p-41
        0 0x1.2a93fb5006582p-12 -0x1.13f34b8c14418p-13 -0x1.c8e1505707402p-14 0x1.6751ec3f079abp-14
        0x1.10fdbaff4c342p-16 -0x1.6aef7c2de3e53p-16 -0x1.d7e06d0b3cdd7p-20 0x1.6b0908a6393d9p-19
        0x1.a9d194ee5771fp-22 -0x1.1c2cf2f2364a4p-23 -0x1.8f85d8f5ae2b7p-25 -0x1.adc910b05978fp-28
        -0x1.036332a00eb35p-31 -0x1.86cf08308c1ddp-36 -0x1.7387760021965p-41
        0x1.f159d45165b62p-14 -0x1.460cc4c54413ep-15 -0x1.1076ff659a25bp-14 0x1.c0f9e472dc857p-15
        0x1.ac21904ccf392p-18 -0x1.33d0bbc94ce7p-16 0x1.2340a070ef824p-19 0x1.82f9476e48523p-19
        -0x1.a849a49ba698p-22 -0x1.2f9b7ad3ddd94p-22 0x1.5d65a949abc4dp-29 0x1.02dc3880db8bap-26
        0x1.88f33843ff98fp-29 0x1.2123b1d22dd22p-32 0x1.f78a85610906ep-37 0x1.526c108990c2cp-41
    """,
}


@st.odd(None, None)
def erf(b: Builder, a: Operand) -> Operand:
    """The error function. -0 at -0, 1 at inf, -1 at -inf."""
    form, step, low = st.form_of(a), _STEP[a.dtype], _SMALL[a.dtype]
    factors, *terms = st.rows(_ERF[a.dtype])
    t = st.clamp(b, a, low, _RANGE[a.dtype])
    shifted = b.op("fma", t, 1 / step, form.shifter)
    r = b.op("fma", shifted - form.shifter, -step, t)
    number = st.as_bits(b, shifted)
    usual = b.op("fma", st.element(b, number, factors), t, st.by_elements(b, number, r, terms))
    small = a < low
    return st.where(b, small, usual, lambda: (st.times(b, a, _MORE),))
