"""The inverse of erf by tables, as loop instructions.

    erfinv(a) = A a + P(r)
    by A, c and the polynomial P of the quarter of an octave in which v + 1/2 is
    up to E v = a, r = a - c; beyond v = 1/2 + K (log2(1 - E) - log2(1 - a)), r = v - c: v ends below 8
    E = 1/2, K = 19/64; of float64 E = 25/32, K = 17/128, and up to E v is a parabola: short pieces near E

1 - a is exact there. Its logarithm is that of the middle of a sixteenth, of so few bits that v - c is exact,
and a short polynomial, which comes last. The middle alone says which P it is. A is about erfinv(a) / a, so
that P is small; of float32 it is 0 from v = 3/2 on, and c so chosen that erfinv is nearly a float32.
"""

from __future__ import annotations

import functools
import math

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import formulas as fo
from . import steps as st


@data
class _Inverse:
    """What a format needs."""

    edge: float  # E
    parabola: tuple[float, float] | None  # v in powers of a, from the first on
    k: float
    # By the middles: m d = 1 + r, 1 <= m < 2, |r| < 0.0307; K log2(d) is a multiple of 2**-18 but for 2**-32,
    # of float64 of 2**-46 but for 2**-60
    d: tuple[float, ...]
    bits: int  # those 18 or 46
    log: tuple[float, ...]  # -K log2(1 + r) / r: of v 2**-31.9 (2**-57.7)
    small: int  # below 2**-small products of the polynomial may be denormal
    # Rows: c, A, and the coefficients of P. In the order of the numbers: v from 1 1/2 on, 3 1/2; from 0 on,
    # 1/2. Of erfinv 2**-26.7 where 1/2 <= v < 3/4, elsewhere 2**-29.6; of float64 2**-56.4
    pieces: str


_MORE = float.fromhex("-0x1.d203b725884abp-4")  # sqrt(pi)/2 - 1
_ERFINV = {
    f32: _Inverse(
        edge=1 / 2,
        parabola=None,
        k=19 / 64,
        bits=18,
        d=st.hexes(
            "0x1.f0ab98p-1 0x1.d3c1d8p-1 0x1.bb0ba8p-1 0x1.a3da3cp-1 0x1.8fcc84p-1 0x1.7d7328p-1"
            " 0x1.6b9bf4p-1 0x1.5c0f5ep-1 0x1.4ebcc4p-1 0x1.4173b0p-1 0x1.34ed72p-1 0x1.2a5f7ap-1"
            " 0x1.1f19b6p-1 0x1.16214ep-1 0x1.0c0106p-1 0x1.039328p-1"
        ),
        log=st.hexes("-0x1.b6944ap-2 0x1.b6944cp-3 -0x1.24a538p-3 0x1.b6d2cap-4"),
        small=90,
        pieces="""
        0x1.c1ecp+0 0x1.1e0ap+1 0x1.5c1ap+1 0x1.9ee6p+1 0x1.fd42p+1 0x1.3deep+2 0x1.821bp+2 0x1.bad4p+2 0
        0x1.8p-3 0x1.4p-2 0x1.cp-2 0x1.4p-1 0x1.cp-1 0x1.2p+0 0x1.6p+0
        0 0 0 0 0 0 0 0 0x1.c5bf8ap-1 0x1.ca01d4p-1 0x1.d2042ap-1 0x1.df3dep-1 0x1.0124cap+0 0x1.1fb0e4p+0
        0x1.41c0ecp+0 0x1.656ae8p+0
        0x1.918be4p+0 0x1.dadb4ap+0 0x1.0e723p+1 0x1.2e8782p+1 0x1.575afp+1 0x1.881f88p+1 0x1.b71774p+1
        0x1.dae032p+1 0 -0x1.35bfdp-28 -0x1.e7b5cp-28 -0x1.2d1b66p-27 -0x1.283bd8p-26 0x1.3e9f08p-25
        0x1.5118f4p-28 0x1.5330c4p-25
        0x1.492e06p-1 0x1.1ff8aap-1 0x1.0257bap-1 0x1.d531aap-2 0x1.a394f6p-2 0x1.741872p-2 0x1.4f3f16p-2
        0x1.379a64p-2 -0x1.cc6702p-26 0x1.15fe9ep-6 0x1.9f7954p-5 0x1.cacef6p-4 0x1.16fcd2p-2 0x1.9e5926p-2
        0x1.f0731ep-2 0x1.0d8458p-1
        -0x1.a29284p-4 -0x1.1df3c4p-4 -0x1.a2c1dap-5 -0x1.3cfe6ep-5 -0x1.ca552cp-6 -0x1.42cf7p-6
        -0x1.db8f04p-7 -0x1.7f8776p-7 0x1.afce26p-24 0x1.1d6738p-3 0x1.0cee84p-2 0x1.cc9672p-2 0x1.06039ep-1
        0x1.549f9ap-2 0x1.8850dp-3 0x1.8957e6p-4
        0x1.f7249ap-6 0x1.0ec8acp-6 0x1.45c25ep-7 0x1.9d5edep-8 0x1.e5c038p-9 0x1.1122f4p-9 0x1.4a30eep-10
        0x1.cf592ap-11 0x1.db2518p-3 0x1.1f973cp-2 0x1.90d6eap-2 0x1.483988p-1 -0x1.8b1484p-2 -0x1.4444dcp-2
        -0x1.b63232p-3 -0x1.133a8ep-3
        -0x1.6feea2p-7 -0x1.3946f8p-8 -0x1.361712p-9 -0x1.4b0d5ap-10 -0x1.3ccf6cp-11 -0x1.1d16dep-12
        -0x1.1b8586p-13 -0x1.58fcb2p-14 0x1.4aebc2p-12 0x1.2203ep-3 0x1.49e2aap-2 0x1.7bec7cp-1 0x1.1dc166p-4
        0x1.4c2edep-3 0x1.042de2p-3 0x1.5d9902p-4
        0x1.2f096ep-8 0x1.99d752p-10 0x1.50d3f4p-11 0x1.1f5edap-12 0x1.d151e6p-14 0x1.4a5f84p-15
        0x1.1887e6p-16 0x1.0eecd6p-17 0x1.f6c04ep-4 0x1.a1b706p-3 0x1.a9c05ap-2 0x1.135a4ep+0 0x1.b7a62ep-3
        -0x1.179008p-5 -0x1.a21554p-5 -0x1.3ce4ccp-5
        -0x1.0dd6eep-9 -0x1.1568eep-11 -0x1.b661eap-13 -0x1.d18d26p-15 -0x1.5f41ecp-16 -0x1.878582p-18
        -0x1.d907fp-20 -0x1.0fed86p-19 0x1.137336p-5 0x1.3cc4f8p-3 0x1.d475eep-2 0x1.87b942p+0 -0x1.8caddep-2
        -0x1.08b12ap-5 0x1.66f1eap-7 0x1.aba9ccp-7
        """,
    ),
    f64: _Inverse(
        edge=25 / 32,
        parabola=(0.28050, 0.46),
        k=17 / 128,
        bits=46,
        d=st.hexes(
            "0x1.f07c1f179e5b7p-1 0x1.d41d41f420833p-1 0x1.bacf91553c454p-1 0x1.a41a41bf70976p-1"
            " 0x1.8f9c18fcf1cb8p-1 0x1.7d05f432d6cd1p-1 0x1.6c16c1842895p-1 0x1.5c9882cb623acp-1"
            " 0x1.4e5e0a754f5fap-1 0x1.4141415530be8p-1 0x1.3521cfccb8134p-1 0x1.29e412b1e26aap-1"
            " 0x1.1f7047e74045p-1 0x1.15b1e604d9d45p-1 0x1.0c9714feeb44bp-1 0x1.041041086288ep-1"
        ),
        log=st.hexes(
            "-0x1.8869bdb7e3b29p-3 0x1.8869bdb7e3aecp-4 -0x1.059bd3d03a1bp-4 0x1.8869bdb960b2bp-5"
            " -0x1.39ee24d4fcf84p-5 0x1.059bc09efe438p-5 -0x1.c1203dc4eb7dap-6 0x1.8926141a6ef18p-6"
        ),
        small=200,
        pieces="""
        0x1.cp+0 0x1.2p+1 0x1.6p+1 0x1.ap+1 0x1p+2 0x1.4p+2 0x1.8p+2 0x1.cp+2 0 0x1.9p-2 0x1.28p-1 0x1.7p-1
        0x1.4p-1 0x1.cp-1 0x1.2p+0 0x1.6p+0
        0x1.45b8f838ef875p+1 0x1.7ea3e36e1b9b8p+1 0x1.b0c9ee608eaedp+1 0x1.de0ea8b9d1abp+1
        0x1.0da1ba7a0b3d7p+2 0x1.31ea4f627a1c8p+2 0x1.52784ecc3e202p+2 0x1.703e9d5265cb7p+2
        0x1.c5bf891b4ef6bp-1 0x1.d992a435f0127p-1 0x1.f6f851aa82734p-1 0x1.0f6021d8cfc25p+0
        0x1.42f1f1d1f199ep+0 0x1.9328b950c86bp+0 0x1.e140df8573de8p+0 0x1.14dca05d1bb97p+1
        0x1.6f312e25cb52ep-54 -0x1.a963b58c015f1p-54 -0x1.8623168d6e8b2p-54 -0x1.2cebf7e9737d9p-54
        0x1.b214984937caep-52 0x1.dffabb9faed34p-54 0x1.e506a258e47e6p-52 -0x1.c80b637042145p-52 0
        0x1.00bc24430b492p-60 0x1.7803b5a3f8288p-57 -0x1.117aa10fccb11p-54 -0x1.a288ee331cd6ep-55
        0x1.e4779fba98b66p-54 -0x1.f0d39eba9676dp-57 0x1.ef05f8b98342cp-57
        0x1.e969bff98be4cp-1 0x1.a916258e25d4dp-1 0x1.7bbbd6a1e7e3p-1 0x1.5a1607cadb406p-1
        0x1.34dc4cf2e7674p-1 0x1.11c2f0fa81fd4p-1 0x1.f0accb5e06da6p-2 0x1.c9b0c951da566p-2
        -0x1.65ca55f3f1d43p-55 0x1.5b97e98427686p-4 0x1.edf61d65454fap-3 0x1.0c1504eb49ec6p-1
        0x1.168d442b54559p+0 0x1.36beada28300ap+0 0x1.2b7de8faa108cp+0 0x1.15033250ff149p+0
        -0x1.318ccb76fef7p-3 -0x1.aa8b0db286012p-4 -0x1.34a11b616eb9dp-4 -0x1.d644d95a70d81p-5
        -0x1.50346c5751964p-5 -0x1.d68f4133e7983p-6 -0x1.606ab40003c7dp-6 -0x1.146cd95a32a3dp-6
        0x1.ba258794cdb07p-51 0x1.7945b5046c249p-2 0x1.b3528cb434288p-1 0x1.e92ee98f6ab9fp+0
        0x1.dff8545f74346p-1 0x1.ee315785f4fccp-4 -0x1.0aa2bd91d7c49p-3 -0x1.6779e471265c5p-3
        0x1.0a00d3b66b5cbp-5 0x1.8d2ca2524bd1bp-6 0x1.e766b3b8500f6p-7 0x1.395557005c8b5p-7
        0x1.6868972d56554p-8 0x1.8f72672ee4e94p-9 0x1.eef41eb5ba854p-10 0x1.4aed003161185p-10
        0x1.db29fb2fec7d6p-3 0x1.0b80ec3f62cbep-1 0x1.65faaa2fd828bp+0 0x1.197bd79283fc2p+2
        -0x1.2d60b2d4272ccp+1 -0x1.8cc8d27ce35e5p-1 -0x1.899228f8e6c39p-3 -0x1.daaf2f22aba7p-7
        0x1.319970263c9f6p-8 -0x1.753c4adefa882p-8 -0x1.cc1c2f898293cp-9 -0x1.00f95c2607fa8p-9
        -0x1.debb7831f01c2p-11 -0x1.a4e8ea4e0fb81p-12 -0x1.afe82f28d1b6bp-13 -0x1.ecafaf75278e5p-14
        0x1.9d9e8bc91dab5p-36 0x1.12a2955626109p-1 0x1.272fe18063761p+1 0x1.64f88f8d6cc8cp+3
        0x1.9127174766b78p+1 0x1.2f03f023dd5e6p+0 0x1.7bb8a672d5384p-2 0x1.973a9592bc7ddp-4
        -0x1.1b6228efb95d3p-6 0x1.8e643fc2a1574p-12 0x1.ada988a37bcf6p-11 0x1.cb4d6ef88c612p-12
        0x1.619bba0fcd5e9p-13 0x1.ee6838476ce72p-15 0x1.a46d15f4434dcp-16 0x1.9955019d78288p-17
        0x1.053c2bdc0c25cp-3 0x1.71faf8eb7269cp-1 0x1.10fb3c0874a0ep+2 0x1.eccbf74afeb98p+4
        -0x1.6c34379db5d81p+1 -0x1.4534e1dce376p+0 -0x1.b4380ba8b7e35p-2 -0x1.0788410877894p-3
        0x1.3229e5b00f0bfp-6 0x1.0d3273218529cp-10 -0x1.0e77a9b5c4a99p-13 -0x1.994484b967946p-14
        -0x1.1533c85f6e873p-15 -0x1.35fd9fe2a8385p-17 -0x1.b52c809e864adp-19 -0x1.6b6ad7aa02a05p-20
        0x1.9718fc966c963p-25 0x1.e01c4c1c0d3ebp-1 0x1.065f29b9818e6p+3 0x1.647188b5cd31p+6
        0x1.6fc67724c7526p+0 0x1.118a7f82ed51dp+0 0x1.8557698c9d2b1p-2 0x1.eae1b68b73c02p-4
        -0x1.ec64bb06101f4p-7 -0x1.259ab444fa843p-10 -0x1.1a7d172769fcdp-15 0x1.33fba4022bb35p-16
        0x1.be21fe7e89301p-18 0x1.95e9e79f150ffp-20 0x1.db1d96fa06e5ep-22 0x1.5151c736afc28p-23
        0x1.62835998bc565p-4 0x1.4e4a573802f9ep+0 0x1.0554ae4122fd4p+4 0x1.0a7607b0fead8p+8
        0x1.cde2cd4119a67p-1 -0x1.6c776a6c13dafp-1 -0x1.1fe7b7128e98bp-2 -0x1.7686b579231ecp-4
        0x1.4b67b1bb43c4p-7 0x1.b112ab13b5b93p-11 0x1.b66a1fd0a964ep-15 -0x1.fc974ea928f92p-21
        -0x1.60cce133cb6d3p-20 -0x1.11b2b956b3fd6p-22 -0x1.0a7460aac4af6p-24 -0x1.4339246e417fdp-26
        0x1.1debb4cff461fp-16 0x1.d52a593783641p+0 0x1.0a6db21b609adp+5 0x1.97f774f677f64p+9
        -0x1.057844281bf2bp+2 0x1.5ba20938fd16p-2 0x1.6869933cf4ba1p-3 0x1.e8f3fb26c37e2p-5
        -0x1.84df5cd0e7368p-8 -0x1.088c6504045bdp-11 -0x1.3b214c2e2d148p-15 -0x1.dac31e66d5af6p-20
        0x1.f3e11e7aa8f4fp-23 0x1.77b7136c2bcbp-25 0x1.31fbbf630fcc6p-27 0x1.3d3516a5d0c2ep-29
        0x1.094b3aaf11de6p-4 0x1.51b9eb8ae060cp+1 0x1.14ab0837812d7p+6 0x1.3dffe4cbb0e4dp+11
        0x1.0d1b4aef1542p+3 -0x1.13b55a4101693p-5 -0x1.7b120c6d6a095p-4 -0x1.16717b6d2ad76p-5
        0x1.95da2f5192e9ap-9 0x1.1b0368423d50ap-12 0x1.666110052ad0fp-16 0x1.7d86bf775d36p-20
        -0x1.beb121ce9bbb3p-26 -0x1.02a0863652b08p-27 -0x1.65b1175c7c2fdp-30 -0x1.3d24073c1e28dp-32
        0x1.9447c30872a88p-10 0x1.ebba901355915p+1 0x1.236d695279f01p+7 0x1.f6dfc326ad7f2p+12
        -0x1.d713ae7a40ebp+3 -0x1.7c4fb628f83d4p-3 0x1.38b41e91bfe32p-5 0x1.16477f755b4a6p-6
        -0x1.7d0d3d6d1cbb3p-10 -0x1.0fa441fec8f5dp-13 -0x1.622b35748d7b1p-17 -0x1.a4314c12e5a9ep-21
        -0x1.691f95488b2f7p-28 0x1.5bc98b406befdp-30 0x1.a7905c1574731p-33 0x1.41cd93956c99ap-35
        0x1.5d5b0f4a1e00cp-5 0x1.6aad090d921dfp+2 0x1.3689ebc00c48fp+8 0x1.925ceca5ddcep+14
        0x1.89e8b1ce51b8ap+4 0x1.57b7f20b6fe02p-2 -0x1.081e91e3effcfp-7 -0x1.e26c26df57955p-8
        0x1.439af8284c339p-11 0x1.da496060ce005p-15 0x1.3a948093d5db9p-18 0x1.86ce187297871p-22
        0x1.7ec914db145b4p-28 -0x1.af2badd0d58b8p-33 -0x1.f92b7d59bfaeap-36 -0x1.4a760e1527e11p-38
        0x1.3db0f6a7f0b09p-5 0x1.0dfcc514e8bf7p+3 0x1.4db9a7abe2d33p+9 0x1.43f49b403117p+16
        -0x1.45ea0ebd6395ep+5 -0x1.c6bc863b669d6p-2 -0x1.918b52ab1de58p-8 0x1.5713b54503571p-9
        -0x1.f07aecda9499ep-13 -0x1.7bc8541268c15p-16 -0x1.fe7b1e435675dp-20 -0x1.448795dd86216p-23
        -0x1.84ee1743e90c6p-29 0x1.a0150307f0b0ep-36 0x1.2cad4c22b4b75p-38 0x1.569608a888a2p-41
        -0x1.329c2cf7c5d66p-4 0x1.939ee317e51f4p+3 0x1.68f40fdb4cbap+10 0x1.03f1633a1935dp+18
        0x1.09624bc817163p+6 0x1.10bfabd37d4p-1 0x1.78b5b136f0d48p-7 -0x1.32b81b52120c4p-11
        0x1.5351f4b6fa0b6p-14 0x1.18c3cd0b64657p-17 0x1.7e79414e01fd3p-21 0x1.ecfff6873000dp-25
        0x1.41cf06675d17fp-30 -0x1.24345490864aep-43 -0x1.5f70e97d65973p-41 -0x1.65273fbc2f7dcp-44
        0x1.f368cddcee6b6p-3 0x1.2ce2d93ac39fdp+4 0x1.937a08a738a86p+11 0x1.ba35effaf906dp+19
        -0x1.be4c16f24a6bep+6 -0x1.3e1e42cf4a96ap-1 -0x1.9ff4029c7231bp-7 -0x1.2e90c2accb82bp-13
        -0x1.86e4e69cd268bp-16 -0x1.8a8d09bc292b2p-19 -0x1.11f06720dd283p-22 -0x1.64b3f6690a282p-26
        -0x1.0a73633da3053p-31 -0x1.ca3e78415c07dp-40 0x1.88c206a7b13cdp-44 0x1.7a3c978098006p-47
        -0x1.1fc9f6c2a8318p-2 0x1.fb302e75253a7p+4 0x1.db069aafdc846p+12 0x1.ad6ebc0cf12c4p+21
        0x1.cf890f3a10467p+7 0x1.9a90b3c6645c1p-1 0x1.a95b80c31ca1fp-7 0x1.6c4f4ba0dabc1p-12
        0x1.237a3d15529ecp-18 0x1.f4903cda9b1f2p-21 0x1.64fcc88322b5dp-24 0x1.d4a8d47fb4851p-28
        0x1.66cec6119076ep-33 0x1.ac8bb697574d2p-41 -0x1.7145b0170ce16p-47 -0x1.bae8e1c868b07p-50
        0x1.b4d44e48c8b13p-3 0x1.bd82d6f269a1ap+5 0x1.9765cd2d8af3cp+13 0x1.2375d4cde67b2p+23
        -0x1.7899e541df545p+8 -0x1.e79fb73609fe7p-1 -0x1.88f6c8e11fe75p-7 -0x1.5f7a49466c962p-12
        """,
    ),
}


@functools.cache
def _high(p: _Inverse, left: int) -> tuple[float, ...]:
    """v at the middles, less what steps of K by sixteenths of octaves add."""
    found = []
    for j, d in enumerate(p.d):
        log2 = (fo.ln(fo.units(d * (1 - p.edge) * 4)) * fo.ONE // fo.LN2) - 2 * fo.ONE
        v = fo.ONE // 2 + fo.units(p.k) * log2 // fo.ONE + j * fo.units(p.k / 16)
        found.append(fo.to_bits(v, p.bits) + p.k * left)
    return tuple(found)


@st.odd(None, None)
def erfinv(b: Builder, a: Operand) -> Operand:
    """The inverse of erf. -0 at -0, inf at 1, -inf at -1, NaN beyond."""
    p, form = _ERFINV[a.dtype], st.form_of(a)
    bits = st.as_bits(b, a)
    least, one = (form.bias - p.small) << form.fraction, form.bias << form.fraction
    rare = bits - least >= one - least
    usual = _usual(b, st.at_least(b, a, 2.0**-p.small), p)

    def slowly() -> tuple[Operand]:
        small = st.times(b, a, _MORE)
        end = b.op("select", b.op("eq", a, 1.0), b.imm(math.inf, a), b.imm(math.nan, a))
        return (b.op("select", a < 1.0, small, end),)

    return st.where(b, rare, usual, slowly)


def _usual(b: Builder, a: Operand, p: _Inverse) -> Operand:
    rest, form = 1.0 - a, st.form_of(a)
    bits = st.as_bits(b, rest)
    number = bits >> form.fraction - 4
    _, m = st.significand(b, bits)
    r: Operand = b.op("fma", m, st.element(b, number, p.d), -1.0)
    octaves = st.counted(b, number, 16 * form.bias)
    high = b.op("fma", octaves, -p.k / 16, st.element(b, number, _high(p, form.left)))
    low = r * st.horner(b, r, p.log)
    outer = a > p.edge
    v, v_rest = b.op("select", outer, high, a), b.op("select", outer, low, 0.0)
    place: Operand = v
    if p.parabola:
        place = b.op("select", outer, high, a * st.horner(b, a, p.parabola))
    number = st.quarter(b, place + 0.5)
    centres, factors, *terms = st.rows(p.pieces)
    r = v - st.element(b, number, centres) + v_rest
    beyond = st.by_elements(b, number, r, terms)
    return b.op("fma", st.element(b, number, factors), a, beyond)
