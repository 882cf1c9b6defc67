"""erfc by tables, as loop instructions.

    erfc(a) = e**(-a**2) g(a), a = |x|;  erfc(-a) = 2 - erfc(a)
    g(a) = U (1 + W(h)), h = a - c
    by U, c and the polynomial W of the quarter of an octave in which a + 1 is, of float64 a + 65/32

U times the rounded part of the power is kept as a sum of two numbers; all else is at most 0.17 (0.3) of it,
and added to it at the end. Of float64 most of W is B h, so that what rounding loses before counts for little.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import steps as st
from .table_exp import apart, e_in_parts, scaled_once

_START = {f32: 1.0, f64: 2 + 1 / 32}
_RANGE = {f32: 10.19, f64: 27.3}  # from here on, it is 0
_USUAL = {f32: 8.9, f64: 26.4}  # beyond, it may be a denormal number
# Rows: c, U = e**(c**2) erfc(c), and the coefficients of W; of float64 those of W - B h, and B at the end.
# Of g 2**-27.0 and 2**-56.3. In the order of the numbers: a from 1 on, from 3, from 7; below 1. Of float64 a
# from 0 on.
_ERFC = {
    f32: """
        0x1.4p+0 0x1.cp+0 0x1.2p+1 0x1.6p+1 0x1.cp+1 0x1.2p+2 0x1.6p+2 0x1.ap+2 0x1p+3 0x1.33p+3 0 0 0x1p-3
        0x1.8p-2 0x1.4p-1 0x1.cp-1
        0x1.78a692p-2 0x1.23cfc2p-2 0x1.d94446p-3 0x1.8c9eb6p-3 0x1.3e0a9ap-3 0x1.f5b2ap-4 0x1.9d8a9p-4
        0x1.5f75c4p-4 0x1.1ea8c4p-4 0x1.df2e0cp-5 1 1 0x1.bf16fp-1 0x1.5f28aep-1 0x1.1d16b6p-1 0x1.db747ep-2
        0x1.7e0c12p-29 0x1.a791a8p-25 0x1.ced754p-26 0x1.737496p-26 -0x1.3ee4cap-26 0x1.280f3ap-27
        -0x1.128c76p-25 0x1.0f1278p-27 -0x1.3d25bap-31 -0x1.a6621p-26 0 0 -0x1.1f0788p-25 -0x1.49ef98p-28
        -0x1.c9a45p-26 0x1.eb1356p-26
        -0x1.22acbap-1 -0x1.d6a442p-2 -0x1.881a9p-2 -0x1.4e5f72p-2 -0x1.107c6ep-2 -0x1.b2ff74p-3
        -0x1.68f6aap-3 -0x1.3406a6p-3 -0x1.f84bbcp-4 -0x1.a66d58p-4 0 0 -0x1.0acdc2p+0 -0x1.ca58f6p-1
        -0x1.8d906ep-1 -0x1.5c45c4p-1
        0x1.29504p-2 0x1.90c12ep-3 0x1.1b888p-3 0x1.a1e626p-4 0x1.193254p-4 0x1.6a0a1ep-5 0x1.f59ae2p-6
        0x1.6ea684p-6 0x1.ed13e4p-7 0x1.5ab7fp-7 0 0 0x1.bd4c9p-1 0x1.541ea4p-1 0x1.0785bcp-1 0x1.9e85ecp-2
        -0x1.17954ep-3 -0x1.3fedd2p-4 -0x1.8602b8p-5 -0x1.f60962p-6 -0x1.19f90ap-6 -0x1.277acap-7
        -0x1.57aa22p-8 -0x1.afdf14p-9 -0x1.de9272p-10 -0x1.1b1d1ap-10 0 0 -0x1.3ea11p-1 -0x1.b9119ap-2
        -0x1.367908p-2 -0x1.bd1982p-3
        0x1.ea29f6p-5 0x1.e32942p-6 0x1.0091bep-6 0x1.22f3d4p-7 0x1.135ccep-8 0x1.d97d6p-10 0x1.d0a1a4p-11
        0x1.f794f2p-12 0x1.cd403p-13 0x1.cc120cp-14 0 0 0x1.95751ep-2 0x1.0169fap-2 0x1.4cfb0ap-3
        0x1.b792a6p-4
        -0x1.9b38dp-6 -0x1.603d6ap-7 -0x1.475d06p-8 -0x1.4966fcp-9 -0x1.0c7b5ap-10 -0x1.7afaf4p-12
        -0x1.3a29b6p-13 -0x1.26873ep-14 -0x1.c4bb08p-16 -0x1.78ee02p-17 0 0 -0x1.d795a2p-3 -0x1.14de64p-3
        -0x1.4da536p-4 -0x1.9927ccp-5
        0x1.42503ap-7 0x1.e42b0ep-9 0x1.907f06p-10 0x1.65852ep-11 0x1.f6c464p-13 0x1.269c72p-14 0x1.9eba5cp-16
        0x1.505fc8p-17 0x1.b16ce4p-19 0x1.2d0e5ap-20 0 0 0x1.f9ceaap-4 0x1.143c9cp-4 0x1.3558a2p-5
        0x1.5ead78p-6
    """,
    f64: """
        0x1.ap-3 0x1.7p-1 0x1.38p+0 0x1.b8p+0 0x1.3cp+1 0x1.bcp+1 0x1.1ep+2 0x1.5ep+2 0x1.bep+2 0x1.1fp+3
        0x1.5fp+3 0x1.9fp+3 0x1.ffp+3 0x1.3f8p+4 0x1.7f8p+4 0x1.aa4p+4
        0x1.9ceefff8d1798p-1 0x1.098ea367ecbccp-1 0x1.7f70fc8513185p-2 0x1.280f2ce84da49p-2
        0x1.b48a405f617e6p-3 0x1.40b525af81bfdp-3 0x1.f90cb1d6e2b0bp-4 0x1.9fd4d7175613ap-4
        0x1.484c4fa33ddf9p-4 0x1.001749e17918ep-4 0x1.a3a27c3b9194ap-5 0x1.63552fe8c631cp-5
        0x1.20ddbc897b25fp-5 0x1.ce5441651e0aep-6 0x1.81522062a7043p-6 0x1.5abba58306a34p-6
        -0x1.db0407144c092p-57 0x1.41bb21423ea2dp-54 -0x1.f053fdd9acb45p-57 0x1.a0d65c4d2d7fap-55
        -0x1.c2f680a1f1d41p-56 -0x1.e111e5f5b70c1p-55 0x1.a37aa8281dbf8p-55 -0x1.375b16e39f896p-54
        0x1.11e6981489479p-57 0x1.4fda0fecdeffbp-55 0x1.1dd248abeb7ebp-56 -0x1.f31facdfbc4b2p-56
        0x1.1dcfad2d6a843p-55 -0x1.f2e2fa90a5388p-55 -0x1.d82d6b40c8f78p-56 0x1.752e18b3297aep-54
        -0x1.4a7b287fa9193p-26 0x1.41d743fc30a92p-28 -0x1.1cee8e520e58dp-26 -0x1.b96a4fdfba1f4p-31
        0x1.95ed0908f1b4ap-31 0x1.03e0c02ed210ep-27 0x1.4d0bb0ac6ad19p-28 0x1.535defd6e5198p-30
        0x1.365965e9035c4p-28 -0x1.b30e3fc9da40cp-29 0x1.059a63f439ef6p-29 0x1.6eb4107cdaef7p-30
        0x1.31f1c4081393fp-30 -0x1.67ba543dafb07p-30 -0x1.7fd9eb716f47ap-30 -0x1.011d59bf349fbp-33
        0x1.98beb3566f7d5p-1 0x1.e0cd8d39d4ae4p-2 0x1.31487304bd428p-2 0x1.9a24851095148p-3
        0x1.ede8a1fd4427fp-4 0x1.1d83c48ae7353p-4 0x1.6e9a85a0987b7p-5 0x1.faf03ebfe9b67p-6
        0x1.41364ccafc014p-6 0x1.8b41ac0860d1ap-7 0x1.0add0555d5e22p-7 0x1.7ffd724ebcd56p-8
        0x1.fd09d4ac65b0ep-9 0x1.46aa198579e7ep-9 0x1.c6535ef90bc46p-10 0x1.7011147c9c418p-10
        -0x1.1b899ecfc9fb5p-1 -0x1.11734173fb846p-2 -0x1.22342be98a85p-3 -0x1.4aab848973371p-4
        -0x1.3fa67fdaac0abp-5 -0x1.205ef5e676868p-6 -0x1.2d01eb55fde34p-7 -0x1.5d1ae95d9fdb6p-8
        -0x1.62cfc0004a95ep-9 -0x1.5840d4b06e0c5p-10 -0x1.7f07b980d9a9cp-11 -0x1.d440fe55f34a2p-12
        -0x1.fa1a6dfa69b5ap-13 -0x1.04713bda58c33p-13 -0x1.2e3b268331d45p-14 -0x1.b8dfaf8b5437dp-15
        0x1.5f26bf143c021p-2 0x1.1c42b62e77ef4p-3 0x1.00e15084d9b2bp-4 0x1.f7e47ca9d843ap-6
        0x1.8d5c70ad58e6bp-7 0x1.1b8b5a68627eap-8 0x1.e5260b686d26ap-10 0x1.da573b1e9274bp-11
        0x1.846a915739789p-12 0x1.2a1fb2d2aabe1p-13 0x1.11ce6a802a09cp-14 0x1.1cb10a048894ep-15
        0x1.f639f47c2182dp-17 0x1.9ec75278152aap-18 0x1.91c2c7829d10dp-19 0x1.07db77bdc48d4p-19
        -0x1.8c9918a5e7c99p-3 -0x1.12120cc554d32p-4 -0x1.abbc62b51d66dp-6 -0x1.6d4aafe7ea83p-7
        -0x1.dc2fa86844ef8p-9 -0x1.0fe723332ebabp-10 -0x1.80155922247dap-12 -0x1.3e1065c94e2ebp-13
        -0x1.a57df08bc3393p-15 -0x1.00bab8a052da7p-16 -0x1.85f118a01190ap-18 -0x1.593304eb9661dp-19
        -0x1.f16f636b6e05cp-21 -0x1.49e1b654a1c5dp-22 -0x1.0ace0f4a2c07ap-23 -0x1.3b9c5616294c2p-24
        0x1.9e7eee168fe02p-4 0x1.ef6099941979p-6 0x1.517a712f2171fp-7 0x1.fa9623fc230e4p-9
        0x1.13e811fe82032p-10 0x1.fd5f1418ceebp-13 0x1.2af65f1773a05p-14 0x1.a53354e403765p-16
        0x1.c57d116836dc5p-18 0x1.b7ba4e89ae32dp-20 0x1.149b051438021p-21 0x1.a1652d323861dp-23
        0x1.ebc2ec4e834edp-25 0x1.060a789076b77p-26 0x1.620fbcb131cc6p-28 0x1.7940c36c8fa2bp-29
        -0x1.9524ce505a45fp-5 -0x1.a6fd027f3f07ep-7 -0x1.fb9f7ab9cc8d2p-9 -0x1.51698a2094ae4p-10
        -0x1.35f994fc5d50ep-12 -0x1.d2ace82b88e46p-15 -0x1.c9eeac8da63acp-17 -0x1.1382d001ef939p-18
        -0x1.e3db4b9a9149ap-21 -0x1.768a831d55092p-23 -0x1.86ef85c156ea7p-25 -0x1.f749f056aef8ap-27
        -0x1.e53ddddf3357cp-29 -0x1.9fcbeb2ba1b8p-31 -0x1.d5743bd247813p-33 -0x1.c29f4e2df65c3p-34
        0x1.75593480dd274p-6 0x1.575daca6a2643p-8 0x1.6d9fb3856ca31p-10 0x1.b13ee2815c4d1p-12
        0x1.5260198a0b098p-14 0x1.a2b487b8b7279p-17 0x1.5950647f2c303p-19 0x1.6433e386466a8p-21
        0x1.00083350519dfp-23 0x1.3d504d4221371p-26 0x1.133a18e07484bp-28 0x1.2e97db03f89d5p-30
        0x1.ddea97a603e22p-33 0x1.497c241dcdbfcp-35 0x1.36f665abd5ac9p-37 0x1.0cf1bb45bea51p-38
        -0x1.466c33d44dep-7 -0x1.0a4dc16a41285p-9 -0x1.fa594c18195a7p-12 -0x1.0ce483990f606p-13
        -0x1.6797b6a88e78bp-16 -0x1.7048e26c99459p-19 -0x1.008a4fb5758e7p-21 -0x1.c74c13e4724bdp-24
        -0x1.0ccfaba561589p-26 -0x1.0b6ada0752946p-29 -0x1.8218d0034de67p-32 -0x1.6adcfd7aa407bp-34
        -0x1.d5d62ca9c7b8cp-37 -0x1.04c6849a6c6f3p-39 -0x1.9b9bee4d35c9dp-42 -0x1.40ce45d4469e5p-43
        0x1.102661ebcd8a3p-8 0x1.8c42dd4bb37b4p-11 0x1.522746b74ee35p-13 0x1.43774766d2cb1p-15
        0x1.749eb86bedd41p-18 0x1.3ddf93da83cf1p-21 0x1.77c058d75dfa6p-24 0x1.1fc62b7ee8eaep-26
        0x1.180785d996a2fp-29 0x1.c0653d8bdede9p-33 0x1.0dd25fbeb4838p-35 0x1.b1f538c3eb4f1p-38
        0x1.cd0902826fec9p-41 0x1.9c4a37b5445c4p-44 0x1.102f489a67ecp-46 0x1.7e67866aaa3a1p-48
        -0x1.b292901c8d23cp-10 -0x1.1bb5099381912p-12 -0x1.b4b3737e983a7p-15 -0x1.79da6acc26144p-17
        -0x1.7899c021b4ab6p-20 -0x1.0d4bf549e8857p-23 -0x1.0f505ae21c2bep-26 -0x1.67d1cf4586825p-29
        -0x1.210d212755675p-32 -0x1.75c2c83972f39p-36 -0x1.77a3c5790d261p-39 -0x1.02bf976aa21a7p-41
        -0x1.c2fa37b3cd52ep-45 -0x1.455963a28ea51p-48 -0x1.679356c8f6112p-51 -0x1.c7843c8f02075p-53
        0x1.4e629166814dfp-11 0x1.88515fcc448a4p-14 0x1.116642c838672p-16 0x1.ad873c352bac5p-19
        0x1.74bb730b45ee2p-22 0x1.c0d22a9c6e976p-26 0x1.82c4f908ca2fbp-29 0x1.bd5207f604678p-32
        0x1.28a1aff9b5808p-35 0x1.3631a5b0995abp-39 0x1.04a06db4555c4p-42 0x1.33ca2756af946p-45
        0x1.b8ec2f4c37275p-49 0x1.00939cef07befp-52 0x1.dac0a3eb813d7p-56 0x1.0f1dbdecf4226p-57
        -0x1.f3858bfe282d6p-13 -0x1.0cdc9bf6efe12p-15 -0x1.53378b728299fp-18 -0x1.e3e709d1012b2p-21
        -0x1.7c99543850e17p-24 -0x1.7e272f8ee80e9p-28 -0x1.17f3be35fd707p-31 -0x1.16b8b45549436p-34
        -0x1.413bee888d843p-38 -0x1.0aa44b9fec951p-42 -0x1.72a280ffe02p-46 -0x1.74c734360fd3ap-49
        -0x1.c79305f0f7ecep-53 -0x1.a362dade32404p-57 -0x1.415117c69592bp-60 -0x1.43403476d7b33p-62
        0x1.3126b2a591be8p-14 0x1.5af0747f731f1p-17 0x1.8fe6c7d440addp-20 0x1.04f26b3cc6645p-22
        0x1.67322c4c66086p-26 0x1.3360dbe355f44p-30 0x1.8474802ce7e76p-34 0x1.51c6ffeb05f0ap-37
        0x1.4446072a1b6b9p-41 0x1.b5dcc90699b71p-46 0x1.fe77ce1924de6p-50 0x1.b8feddfa5b6d7p-53
        0x1.bb9d26d65e81fp-57 0x1.49e3b3852b159p-61 0x1.a77d6b8f28b24p-65 0x1.819a8e472ca65p-67
        -0x1.fc552ap-1 -0x1.79e05p-1 -0x1.26dbb6p-1 -0x1.dc77b4p-2 -0x1.6cc4ccp-2 -0x1.12a12cp-2 -0x1.b5c8dp-3
        -0x1.6ae77ep-3 -0x1.201f2cp-3 -0x1.c33024p-4 -0x1.726222p-4 -0x1.39fc5p-4 -0x1.ff0278p-5
        -0x1.9937f4p-5 -0x1.552f9ep-5 -0x1.33118cp-5
    """,
}


def erfc(b: Builder, x: Operand) -> Operand:
    """1 - erf(x). 2 at -inf, 0 at inf."""
    dtype, form = x.dtype, st.form_of(x)
    centres, factors, *terms = st.rows(_ERFC[dtype])
    a = st.clamp(b, abs(x), form.least, _RANGE[dtype])
    number = st.quarter(b, a + _START[dtype])
    h = a - st.element(b, number, centres)
    slopes = terms.pop() if dtype is f64 else None
    w = st.by_elements(b, number, h, terms)
    if slopes is not None:
        w = b.op("fma", st.element(b, number, slopes), h, w)
    square, lost = st.product(b, a, a)
    power = e_in_parts(b, -square)
    q = b.op("fma", -lost, power.q, power.q - lost)
    q, value = b.op("fma", q, w, q), st.element(b, number, factors)

    def but_w(scale: Operand) -> st.Pair:
        total, rest = st.product(b, scale, value)
        return total, b.op("fma", total, q, rest)

    total, rest = but_w(power.scale)
    usual = total + b.op("fma", total, w, rest)

    def slowly() -> tuple[Operand]:
        scale, exponent, k = apart(b, power)
        return (scaled_once(b, *but_w(scale), w, exponent, k),)

    result = st.where(b, a > _USUAL[dtype], usual, slowly)
    return b.op("select", x < 0.0, 2.0 - result, result)
