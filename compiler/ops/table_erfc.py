"""erfc by tables, as loop instructions.

    erfc(a) = e**(-a**2) g(a), a = |x|;  erfc(-a) = 2 - erfc(a)
    g(a) = U (1 + W(h)), h = a - c
    by U, c and the polynomial W of the quarter of an octave in which a + 1 is, of float64 a + 2

U times the rounded part of the power is kept as a sum of two numbers; all else is at most 0.17 (0.3) of it,
and added to it at the end. Of float64 most of W is B h, so that what rounding loses before counts for little.
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import steps as st
from .table_exp import apart, e_in_parts, scaled_once


@data
class _Tail:
    """What a format needs."""

    pieces: st.Pieces  # the factors are U = e**(c**2) erfc(c), the terms those of W, or of W - B h
    slopes: tuple[float, ...] | None  # B


_START = {f32: 1.0, f64: 2.0}
_RANGE = {f32: 10.19, f64: 27.3}  # from here on, it is 0
_USUAL = {f32: 8.9, f64: 26.4}  # beyond, it may be a denormal number
# Of g 2**-27.0 and 2**-56.3. In the order of the numbers: a from 1 on, from 3, from 7; below 1. Of float64 a
# from 0 on.
_ERFC = {
    f32: _Tail(
        pieces=st.Pieces(
            centres=st.hexes(
                "0x1.4p+0 0x1.cp+0 0x1.2p+1 0x1.6p+1 0x1.cp+1 0x1.2p+2 0x1.6p+2 0x1.ap+2 0x1p+3 0x1.33p+3 0 0"
                " 0x1p-3 0x1.8p-2 0x1.4p-1 0x1.cp-1"
            ),
            factors=st.hexes(
                "0x1.78a692p-2 0x1.23cfc2p-2 0x1.d94446p-3 0x1.8c9eb6p-3 0x1.3e0a9ap-3 0x1.f5b2a0p-4"
                " 0x1.9d8a90p-4 0x1.5f75c4p-4 0x1.1ea8c4p-4 0x1.df2e0cp-5 0x1.000000p+0 0x1.000000p+0"
                " 0x1.bf16f0p-1 0x1.5f28aep-1 0x1.1d16b6p-1 0x1.db747ep-2"
            ),
            terms=(
                st.hexes(
                    "0x1.7e0c12p-29 0x1.a791a8p-25 0x1.ced754p-26 0x1.737496p-26 -0x1.3ee4cap-26"
                    " 0x1.280f3ap-27 -0x1.128c76p-25 0x1.0f1278p-27 -0x1.3d25bap-31 -0x1.a66210p-26 0 0"
                    " -0x1.1f0788p-25 -0x1.49ef98p-28 -0x1.c9a450p-26 0x1.eb1356p-26"
                ),
                st.hexes(
                    "-0x1.22acbap-1 -0x1.d6a442p-2 -0x1.881a90p-2 -0x1.4e5f72p-2 -0x1.107c6ep-2"
                    " -0x1.b2ff74p-3 -0x1.68f6aap-3 -0x1.3406a6p-3 -0x1.f84bbcp-4 -0x1.a66d58p-4 0 0"
                    " -0x1.0acdc2p+0 -0x1.ca58f6p-1 -0x1.8d906ep-1 -0x1.5c45c4p-1"
                ),
                st.hexes(
                    "0x1.295040p-2 0x1.90c12ep-3 0x1.1b8880p-3 0x1.a1e626p-4 0x1.193254p-4 0x1.6a0a1ep-5"
                    " 0x1.f59ae2p-6 0x1.6ea684p-6 0x1.ed13e4p-7 0x1.5ab7f0p-7 0 0 0x1.bd4c90p-1"
                    " 0x1.541ea4p-1 0x1.0785bcp-1 0x1.9e85ecp-2"
                ),
                st.hexes(
                    "-0x1.17954ep-3 -0x1.3fedd2p-4 -0x1.8602b8p-5 -0x1.f60962p-6 -0x1.19f90ap-6"
                    " -0x1.277acap-7 -0x1.57aa22p-8 -0x1.afdf14p-9 -0x1.de9272p-10 -0x1.1b1d1ap-10 0 0"
                    " -0x1.3ea110p-1 -0x1.b9119ap-2 -0x1.367908p-2 -0x1.bd1982p-3"
                ),
                st.hexes(
                    "0x1.ea29f6p-5 0x1.e32942p-6 0x1.0091bep-6 0x1.22f3d4p-7 0x1.135ccep-8 0x1.d97d60p-10"
                    " 0x1.d0a1a4p-11 0x1.f794f2p-12 0x1.cd4030p-13 0x1.cc120cp-14 0 0 0x1.95751ep-2"
                    " 0x1.0169fap-2 0x1.4cfb0ap-3 0x1.b792a6p-4"
                ),
                st.hexes(
                    "-0x1.9b38d0p-6 -0x1.603d6ap-7 -0x1.475d06p-8 -0x1.4966fcp-9 -0x1.0c7b5ap-10"
                    " -0x1.7afaf4p-12 -0x1.3a29b6p-13 -0x1.26873ep-14 -0x1.c4bb08p-16 -0x1.78ee02p-17 0 0"
                    " -0x1.d795a2p-3 -0x1.14de64p-3 -0x1.4da536p-4 -0x1.9927ccp-5"
                ),
                st.hexes(
                    "0x1.42503ap-7 0x1.e42b0ep-9 0x1.907f06p-10 0x1.65852ep-11 0x1.f6c464p-13"
                    " 0x1.269c72p-14 0x1.9eba5cp-16 0x1.505fc8p-17 0x1.b16ce4p-19 0x1.2d0e5ap-20 0 0"
                    " 0x1.f9ceaap-4 0x1.143c9cp-4 0x1.3558a2p-5 0x1.5ead78p-6"
                ),
            ),
        ),
        slopes=None,
    ),
    f64: _Tail(
        pieces=st.Pieces(
            centres=st.hexes(
                "0x1p-2 0x1.8p-1 0x1.4p+0 0x1.cp+0 0x1.4p+1 0x1.cp+1 0x1.2p+2 0x1.6p+2 0x1.cp+2 0x1.2p+3"
                " 0x1.6p+3 0x1.ap+3 0x1p+4 0x1.4p+4 0x1.8p+4 0x1.aa8p+4"
            ),
            factors=st.hexes(
                "0x1.8a6adcda2ea92p-1 0x1.038d54ea3d834p-1 0x1.78a692138767ap-2 0x1.23cfc2f1dc7ep-2"
                " 0x1.afbb3f3b7343bp-3 0x1.3e0a99a0ee914p-3 0x1.f5b2a049cf4c6p-4 0x1.9d8a8f2284f2cp-4"
                " 0x1.46dc6bf900f68p-4 0x1.fe6cc4a0f9538p-5 0x1.a273c57e476cep-5 0x1.627bcc27cb4aep-5"
                " 0x1.204ddcd967373p-5 0x1.cd9bc89b73548p-6 0x1.80d1e88d3c62p-6 0x1.5a87b0727aef9p-6"
            ),
            terms=(
                st.hexes(
                    "-0x1.1715489b68632p-56 -0x1.e55257ed8c541p-54 0x1.beeabe022f3d4p-62"
                    " 0x1.14665066b15dap-55 -0x1.e45f70ba21a24p-56 -0x1.41b21db87560dp-57"
                    " -0x1.035d561d16c02p-54 -0x1.ada0b8f88c496p-55 -0x1.4259f3ac93153p-55"
                    " 0x1.cac799a5fd975p-55 -0x1.be9c04af3824fp-55 -0x1.52cb40cfa6c9ap-55"
                    " 0x1.8318c81039495p-56 -0x1.f9ebf52c05478p-60 -0x1.09d1ef31e05f7p-61"
                    " 0x1.b3f6473afd78cp-55"
                ),
                st.hexes(
                    "-0x1.7f3ad14532d19p-26 -0x1.4404b837823a8p-26 -0x1.950138592d182p-27"
                    " 0x1.20f86222611bfp-27 -0x1.1b5279328d101p-27 0x1.d3f085eaac648p-27"
                    " -0x1.2fb95f8d3edd2p-28 0x1.07a4172dedc88p-28 -0x1.70ca8d660f7ffp-29"
                    " 0x1.4052ad88773bep-32 -0x1.a4cd660db6dep-33 0x1.1ade396bf1914p-29"
                    " 0x1.4d88537833cd4p-32 -0x1.54411fa8e12fap-31 -0x1.5789b0ee0b892p-30"
                    " 0x1.e6c8b7933f5c8p-30"
                ),
                st.hexes(
                    "0x1.8482795018a5bp-1 0x1.d2876e0cfc75bp-2 0x1.29503802df3cdp-2 0x1.90c128f9b2abdp-3"
                    " 0x1.e48c927763a4p-4 0x1.193240cb93a99p-4 0x1.6a0a15527ba39p-5 0x1.f59adea819fd2p-6"
                    " 0x1.3e7bcbd4ec4bbp-6 0x1.8898a5a1740f6p-7 0x1.09611b7acb25bp-7 0x1.7e2c32ea47513p-8"
                    " 0x1.fb1229b10a8acp-9 0x1.45a695aba61c2p-9 0x1.c525fcb1769bp-10 0x1.6fa308fd65e47p-10"
                ),
                st.hexes(
                    "-0x1.088e52f264b96p-1 -0x1.0643e726da397p-2 -0x1.179c33b3e213ep-3"
                    " -0x1.3ff3443813ebcp-4 -0x1.36f185658e7fp-5 -0x1.1a04aed445935p-6 -0x1.2781067610f95p-7"
                    " -0x1.57aeb36257324p-8 -0x1.5e570050a4303p-9 -0x1.54cd990eb5e13p-10"
                    " -0x1.7bda16c507ca5p-11 -0x1.d0f162cf4b881p-12 -0x1.f72d6e2d9ba2bp-13"
                    " -0x1.033b7f006dca3p-13 -0x1.2d0ede3a859fcp-14 -0x1.b81a2966b473ep-15"
                ),
                st.hexes(
                    "0x1.425ee4937fbfdp-2 0x1.0dd480afd8d13p-3 0x1.ea3a5ec9c7c0dp-5 0x1.e331352284f4ep-6"
                    " 0x1.7f7aaee1c051ap-7 0x1.13713e8eb570ep-8 0x1.d98ee0da8863ap-10 0x1.d0aa800e216e2p-11"
                    " 0x1.7df571cb6ea82p-12 0x1.262b2e1ceaec3p-13 0x1.0ecaf4d57225p-14 0x1.1a04a8767c8f2p-15"
                    " 0x1.f25dc1b7009c1p-17 0x1.9c36eb1cd4912p-18 0x1.8faf59ae2997cp-19 0x1.073e009812edp-19"
                ),
                st.hexes(
                    "-0x1.66d0bd669ed8cp-3 -0x1.01b9f16e532bbp-4 -0x1.948646a9151e3p-6"
                    " -0x1.5b5f2983220cdp-7 -0x1.c81f00a010cecp-9 -0x1.06709a2fb1d6dp-10"
                    " -0x1.74d532f51a28cp-12 -0x1.3612f7a1a0b77p-13 -0x1.9cd2dfe0bb14fp-15"
                    " -0x1.f901093cd0bffp-17 -0x1.809ad31bd4546p-18 -0x1.5529cfc03c6b2p-19"
                    " -0x1.ecab62a6dd01fp-21 -0x1.475671edbb903p-22 -0x1.0915931ec4b9ap-23"
                    " -0x1.3ab12113f00bdp-24"
                ),
                st.hexes(
                    "0x1.720666888ff31p-4 0x1.cdd2106692547p-6 0x1.3c8898d57d5adp-7 0x1.ddfa822a1905ep-9"
                    " 0x1.0668d155340fep-10 0x1.e89cfc3848a8cp-13 0x1.20a57d7a2141ap-14"
                    " 0x1.98af25ff1dbc7p-16 0x1.ba6928d5c6153p-18 0x1.af197c7fbce9fp-20"
                    " 0x1.1015f30f2daa5p-21 0x1.9b8fe36f498cp-23 0x1.e61fb0dc598ecp-25 0x1.039ee6a1a70e6p-26"
                    " 0x1.5f53555d58358p-28 0x1.77efb8499ed74p-29"
                ),
                st.hexes(
                    "-0x1.6536c9767e41bp-5 -0x1.872a69ca8a29p-7 -0x1.d86fc71674b8ep-9"
                    " -0x1.3c03938d2644fp-10 -0x1.24d23b87ab66bp-12 -0x1.bcff46e88db17p-15"
                    " -0x1.b7d27deb5a682p-17 -0x1.0a1756e5698cp-18 -0x1.d634478db29f2p-21"
                    " -0x1.6e06a733a3c3ep-23 -0x1.7f85456b8af62p-25 -0x1.ef1d6ac0058c8p-27"
                    " -0x1.dec5125e782c4p-29 -0x1.9b53388379c91p-31 -0x1.d13a6552664c7p-33"
                    " -0x1.c0ca12fbfa06dp-34"
                ),
                st.hexes(
                    "0x1.455f8d7cf58d6p-6 0x1.3b2228b27a72fp-8 0x1.51cb552e91141p-10 0x1.92eec20f99a14p-12"
                    " 0x1.3d95aa74217fcp-14 0x1.8cf675a25ce8fp-17 0x1.49f8b41ec1a0ap-19"
                    " 0x1.567873a0ee90fp-21 0x1.efb664f0c7c7fp-24 0x1.351ffb5f1c17fp-26"
                    " 0x1.0d4a676271a2ep-28 0x1.28ff94f9e1386p-30 0x1.d6a6e49ae6e56p-33"
                    " 0x1.457184a08f1a5p-35 0x1.33c4a46e05d4fp-37 0x1.0bb1fc9c3c3dfp-38"
                ),
                st.hexes(
                    "-0x1.195f2f4224058p-7 -0x1.e551467235104p-10 -0x1.d08f908bac11fp-12"
                    " -0x1.f0d244a6021p-14 -0x1.4f674b12852eap-16 -0x1.5b380718208d6p-19"
                    " -0x1.e7da92e99818dp-22 -0x1.b3cebbb6f53dbp-24 -0x1.033f10979387bp-26"
                    " -0x1.03b49b50055fcp-29 -0x1.78c6518d19b03p-32 -0x1.635823da65911p-34"
                    " -0x1.cdd310db0c82ep-37 -0x1.012f18da557abp-39 -0x1.96dc003f6d6a6p-42"
                    " -0x1.3f219d34a8d13p-43"
                ),
                st.hexes(
                    "0x1.d052ab7b491cp-9 0x1.669e5bf84771dp-11 0x1.3430d41ab1413p-13 0x1.28eae37bd5a18p-15"
                    " 0x1.597a0e418e1b6p-18 0x1.2a12fda6d6b17p-21 0x1.638c511299907p-24"
                    " 0x1.12428dc163ca9p-26 0x1.0d0fcf3bfd8d3p-29 0x1.b21f5429d0e6ap-33"
                    " 0x1.069e5b0d08accp-35 0x1.a8012fddde1c7p-38 0x1.c452dda8ba35ap-41"
                    " 0x1.95fe3e9054883p-44 0x1.0cb3353c74b9p-46 0x1.7c30567b85fcp-48"
                ),
                st.hexes(
                    "-0x1.6eeac13e0da5p-10 -0x1.fe2c7a0ffdb62p-13 -0x1.8b7b280987267p-15"
                    " -0x1.58b63b7e2d975p-17 -0x1.5b291726213e9p-20 -0x1.f6678cd35771ap-24"
                    " -0x1.ff07122bf5a57p-27 -0x1.5576602acbeabp-29 -0x1.14b7f406a091fp-32"
                    " -0x1.68c301f701956p-36 -0x1.6ca9dd2a57575p-39 -0x1.f87d98d6c25bap-42"
                    " -0x1.b9a24b1c3693fp-45 -0x1.3fe5224744193p-48 -0x1.62850803bae6dp-51"
                    " -0x1.c49dca8c91a33p-53"
                ),
                st.hexes(
                    "0x1.16ec52eaff465p-11 0x1.5e89439db8c82p-14 0x1.ec29bf3d9d7d9p-17"
                    " 0x1.8588d0fd68e9dp-19 0x1.55abcd9bc8abep-22 0x1.a086aaeab3883p-26"
                    " 0x1.6a8f982612393p-29 0x1.a4d53ec2b21a2p-32 0x1.1af2a86ae365bp-35"
                    " 0x1.2a8002a009cf6p-39 0x1.f8b7a2ab20757p-43 0x1.2b61e0dd0c55cp-45"
                    " 0x1.aefbd670526c6p-49 0x1.f7c96ae70981bp-53 0x1.d37b1faf27119p-56"
                    " 0x1.0d3c2b0a3c943p-57"
                ),
                st.hexes(
                    "-0x1.a4a5507e6c04p-13 -0x1.dd701fd304ae9p-16 -0x1.2f7529a1c4245p-18"
                    " -0x1.b441790bc64b5p-21 -0x1.5acc99ea0063ap-24 -0x1.60c2bd5959faep-28"
                    " -0x1.052d0421b3ddbp-31 -0x1.064438ab7923ep-34 -0x1.31300af191f71p-38"
                    " -0x1.ff84b5ee2614bp-43 -0x1.65e7f3f1e68c2p-46 -0x1.69c13879a23f8p-49"
                    " -0x1.bc6219b83b317p-53 -0x1.9b1013dc0d51dp-57 -0x1.3bf8dbd579ed7p-60"
                    " -0x1.40c9ca3e28fb3p-62"
                ),
                st.hexes(
                    "0x1.2775c4b52624cp-14 0x1.324d459970618p-17 0x1.63be1fe19c8f7p-20"
                    " 0x1.d3ed688bce494p-23 0x1.459d13ccd1eaep-26 0x1.1a603231cbd5dp-30 0x1.68cdd913ade4p-34"
                    " 0x1.3c8e3fb04bfb8p-37 0x1.32ff63900c03ep-41 0x1.a2bfa9cace76ep-46 0x1.ebaf49b389ep-50"
                    " 0x1.ab01e99397bbcp-53 0x1.afeb0e9b55176p-57 0x1.42daf7a8afab3p-61"
                    " 0x1.9fead1b45122dp-65 0x1.7e721fae414e8p-67"
                ),
            ),
        ),
        slopes=st.hexes(
            "-0x1.edf61ap-1 -0x1.73a5b6p-1 -0x1.22acb6p-1 -0x1.d6a43ep-2 -0x1.692524p-2 -0x1.107c6ap-2"
            " -0x1.b2ff7p-3 -0x1.68f6aap-3 -0x1.1ee25cp-3 -0x1.c1a88cp-4 -0x1.715914p-4 -0x1.393d54p-4"
            " -0x1.fe04eep-5 -0x1.989514p-5 -0x1.54be48p-5 -0x1.32e39ap-5"
        ),
    ),
}


def erfc(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """1 - erf(x). 2 at -inf, 0 at inf."""
    (x,), p, form = args, _ERFC[dtype], st.FORMATS[dtype]
    a = st.clamp(b, b.op("abs", x), form.least, _RANGE[dtype])
    number = st.quarter(b, b.op("add", a, b.imm(_START[dtype], x)))
    h = b.op("sub", a, st.element(b, number, p.pieces.centres))
    w = st.by_elements(b, number, h, p.pieces.terms)
    if p.slopes:
        w = b.op("fma", st.element(b, number, p.slopes), h, w)
    square, lost = st.product(b, a, a)
    power, *_ = e_in_parts(b, b.op("neg", square))
    q = b.op("fma", b.op("neg", lost), power.q, b.op("sub", power.q, lost))
    q, value = b.op("fma", q, w, q), st.element(b, number, p.pieces.factors)

    def but_w(scale: Operand) -> st.Pair:
        total, rest = st.product(b, scale, value)
        return total, b.op("fma", total, q, rest)

    total, rest = but_w(power.scale)
    usual = b.op("add", total, b.op("fma", total, w, rest))

    def slowly() -> tuple[Operand]:
        scale, exponent, k = apart(b, power)
        return (scaled_once(b, *but_w(scale), w, exponent, k),)

    result = st.where(b, b.op("gt", a, b.imm(_USUAL[dtype], x)), usual, slowly)
    return b.op("select", b.op("lt", x, b.imm(0.0, x)), b.op("sub", b.imm(2.0, x), result), result)
