//! The public key of an Ed25519 key (RFC 8032).

use sha2::{Digest as _, Sha512};

use super::number::{self, Limbs, Modulus};

/// A point of the curve, in extended coordinates, each kept as [`Modulus`] has it.
#[derive(Clone)]
struct Point {
    x: Limbs,
    y: Limbs,
    z: Limbs,
    t: Limbs,
}

/// The field and the curve's constant.
struct Curve {
    field: Modulus,
    /// Twice d.
    twice_d: Limbs,
}

impl Curve {
    fn new() -> Self {
        // 2^255 - 19
        let field = Modulus::new(vec![u64::MAX - 18, u64::MAX, u64::MAX, u64::MAX >> 1]);
        let small = |number: u64| field.keep(&[number, 0, 0, 0]);
        let quotient = field.multiply(&small(121_665), &field.invert(&small(121_666)));
        let d = field.subtract(&[0; 4], &quotient);
        let twice_d = field.add(&d, &d);
        Self { field, twice_d }
    }

    /// The point that all keys are multiples of.
    fn base(&self) -> Point {
        const X: [u64; 4] = [
            0xc956_2d60_8f25_d51a,
            0x692c_c760_9525_a7b2,
            0xc0a4_e231_fdd6_dc5c,
            0x2169_36d3_cd6e_53fe,
        ];
        const Y: [u64; 4] = [
            0x6666_6666_6666_6658,
            0x6666_6666_6666_6666,
            0x6666_6666_6666_6666,
            0x6666_6666_6666_6666,
        ];
        let (x, y) = (self.field.keep(&X), self.field.keep(&Y));
        Point {
            t: self.field.multiply(&x, &y),
            z: self.field.one(),
            x,
            y,
        }
    }

    #[expect(clippy::many_single_char_names, reason = "the standard's names")]
    fn add(&self, first: &Point, second: &Point) -> Point {
        let field = &self.field;
        let product = |a: &Limbs, b: &Limbs| field.multiply(a, b);
        let less = |p: &Point| field.subtract(&p.y, &p.x);
        let more = |p: &Point| field.add(&p.y, &p.x);
        let (a, b) = (
            product(&less(first), &less(second)),
            product(&more(first), &more(second)),
        );
        let c = product(&product(&first.t, &self.twice_d), &second.t);
        let d = product(&field.add(&first.z, &first.z), &second.z);
        let (e, h) = (field.subtract(&b, &a), field.add(&b, &a));
        let (g, f) = (field.add(&d, &c), field.subtract(&d, &c));
        Point {
            x: product(&e, &f),
            y: product(&g, &h),
            z: product(&f, &g),
            t: product(&e, &h),
        }
    }
}

/// The public key that belongs to 32 secret bytes.
pub(super) fn public(secret: &[u8; 32]) -> [u8; 32] {
    let digest = Sha512::digest(secret);
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&digest[..32]);
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;

    let curve = Curve::new();
    let base = curve.base();
    let mut point = Point {
        x: vec![0; 4],
        y: curve.field.one(),
        z: curve.field.one(),
        t: vec![0; 4],
    };
    for byte in scalar.iter().rev() {
        for bit in (0..8).rev() {
            point = curve.add(&point, &point);
            if byte >> bit & 1 == 1 {
                point = curve.add(&point, &base);
            }
        }
    }
    let inverse = curve.field.invert(&point.z);
    let affine = |v: &Limbs| curve.field.release(&curve.field.multiply(v, &inverse));
    let (x, y) = (affine(&point.x), affine(&point.y));
    let mut out = [0; 32];
    for (place, byte) in out
        .iter_mut()
        .rev()
        .zip(y.iter().rev().flat_map(|limb| limb.to_be_bytes()))
    {
        *place = byte;
    }
    out[31] |= number::to_bytes(&x).last().map_or(0, |low| (low & 1) << 7);
    out
}

#[cfg(test)]
mod tests {
    use crate::chance::hex;

    #[test]
    fn the_first_example_of_the_standard() {
        let secret = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        assert_eq!(
            hex(&super::public(&secret)),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
