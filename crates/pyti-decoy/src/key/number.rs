//! Natural numbers of any size, as limbs of 64 bits, the lowest first; and arithmetic modulo an odd one.

use std::cmp::Ordering;

/// Limbs, the lowest first; of a fixed length within one computation.
pub(super) type Limbs = Vec<u64>;

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low(value: u128) -> u64 {
    value as u64
}

fn high(value: u128) -> u64 {
    low(value >> 64)
}

pub(super) fn compare(a: &[u64], b: &[u64]) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

/// `a + b`, and the carry. Both have one length.
fn add(a: &[u64], b: &[u64]) -> (Limbs, bool) {
    let mut carry = false;
    let sum = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            let (sum, first) = a.overflowing_add(*b);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            sum
        })
        .collect();
    (sum, carry)
}

/// `a - b`, without its borrow. Both have one length.
pub(super) fn subtract(a: &[u64], b: &[u64]) -> Limbs {
    let mut borrow = false;
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            let (rest, first) = a.overflowing_sub(*b);
            let (rest, second) = rest.overflowing_sub(u64::from(borrow));
            borrow = first || second;
            rest
        })
        .collect()
}

/// Adds `a * by` to as many limbs of `sum`, and tells what is carried on.
///
/// Nearly all of the time goes here, also in builds that are not optimized, where each call of a function costs more
/// than what it does: so plain casts, and a loop without an iterator.
#[expect(
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    reason = "the halves of a product are what is wanted; it cannot overflow"
)]
fn add_product(sum: &mut [u64], a: &[u64], by: u64) -> u64 {
    let (length, mut place, mut carry) = (a.len(), 0, 0u64);
    while place < length {
        let product = (a[place] as u128).wrapping_mul(by as u128);
        let value = product + sum[place] as u128 + carry as u128;
        sum[place] = value as u64;
        carry = (value >> 64) as u64;
        place += 1;
    }
    carry
}

pub(super) fn multiply(a: &[u64], b: &[u64]) -> Limbs {
    let mut out = vec![0; a.len() + b.len()];
    for (place, a) in a.iter().enumerate() {
        out[place + b.len()] = add_product(&mut out[place..], b, *a);
    }
    out
}

/// `a * small + more`, one limb longer.
pub(super) fn multiply_small(a: &[u64], small: u64, more: u64) -> Limbs {
    let mut carry = more;
    let mut out: Limbs = a
        .iter()
        .map(|a| {
            let sum = u128::from(*a) * u128::from(small) + u128::from(carry);
            carry = high(sum);
            low(sum)
        })
        .collect();
    out.push(carry);
    out
}

/// Quotient and remainder by a small number.
pub(super) fn divide_small(a: &[u64], small: u64) -> (Limbs, u64) {
    let mut rest = 0;
    let mut out: Limbs = a
        .iter()
        .rev()
        .map(|a| {
            let value = u128::from(rest) << 64 | u128::from(*a);
            rest = low(value % u128::from(small));
            low(value / u128::from(small))
        })
        .collect();
    out.reverse();
    (out, rest)
}

/// Bytes, the highest first, without zeros in front.
pub(super) fn to_bytes(a: &[u64]) -> Vec<u8> {
    let bytes: Vec<u8> = a.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes[first..].to_vec()
}

/// From bytes, the highest first, as that many limbs.
pub(super) fn from_bytes(bytes: &[u8], limbs: usize) -> Limbs {
    let mut out = vec![0; limbs];
    for (place, byte) in bytes.iter().rev().enumerate() {
        if let Some(limb) = out.get_mut(place / 8) {
            *limb |= u64::from(*byte) << (8 * (place % 8));
        }
    }
    out
}

/// An odd number that others are taken modulo, in Montgomery's way: a number `x` is kept as `x * 2^(64 * limbs)`.
#[derive(Debug, Clone)]
pub(super) struct Modulus {
    pub(super) number: Limbs,
    /// `-1 / number`, modulo 2^64.
    inverse: u64,
    /// The square of 2^(64 * limbs).
    square: Limbs,
}

impl Modulus {
    pub(super) fn new(number: Limbs) -> Self {
        let lowest = number.first().copied().unwrap_or(1);
        // each step doubles the number of bits that are right
        let inverse = (0..6).fold(1u64, |x, _| {
            x.wrapping_mul(2u64.wrapping_sub(lowest.wrapping_mul(x)))
        });
        let mut modulus = Self {
            inverse: inverse.wrapping_neg(),
            square: Vec::new(),
            number,
        };
        let limbs = modulus.number.len();
        let mut one = vec![0; limbs];
        one[0] = 1;
        modulus.square = (0..128 * limbs).fold(one, |x, _| modulus.add(&x, &x));
        modulus
    }

    fn reduce(&self, (sum, carry): (Limbs, bool)) -> Limbs {
        if carry || compare(&sum, &self.number) != Ordering::Less {
            subtract(&sum, &self.number)
        } else {
            sum
        }
    }

    pub(super) fn add(&self, a: &[u64], b: &[u64]) -> Limbs {
        self.reduce(add(a, b))
    }

    pub(super) fn subtract(&self, a: &[u64], b: &[u64]) -> Limbs {
        if compare(a, b) == Ordering::Less {
            subtract(&add(a, &self.number).0, b)
        } else {
            subtract(a, b)
        }
    }

    /// The product of two kept numbers, kept.
    pub(super) fn multiply(&self, a: &[u64], b: &[u64]) -> Limbs {
        let limbs = self.number.len();
        let mut sum = multiply(a, b);
        let mut above = 0;
        for place in 0..limbs {
            // makes the lowest limb zero
            let factor = sum[place].wrapping_mul(self.inverse);
            let carry = add_product(&mut sum[place..], &self.number, factor);
            let (value, first) = sum[place + limbs].overflowing_add(carry);
            let (value, second) = value.overflowing_add(above);
            sum[place + limbs] = value;
            above = u64::from(first || second);
        }
        self.reduce((sum.split_off(limbs), above != 0))
    }

    pub(super) fn keep(&self, a: &[u64]) -> Limbs {
        self.multiply(a, &self.square)
    }

    pub(super) fn release(&self, a: &[u64]) -> Limbs {
        let mut one = vec![0; self.number.len()];
        one[0] = 1;
        self.multiply(a, &one)
    }

    pub(super) fn one(&self) -> Limbs {
        let mut one = vec![0; self.number.len()];
        one[0] = 1;
        self.keep(&one)
    }

    /// A kept number to a power, kept.
    pub(super) fn power(&self, base: &[u64], exponent: &[u64]) -> Limbs {
        let mut out = self.one();
        for limb in exponent.iter().rev() {
            for bit in (0..64).rev() {
                out = self.multiply(&out, &out);
                if limb >> bit & 1 == 1 {
                    out = self.multiply(&out, base);
                }
            }
        }
        out
    }

    /// Two to a power, kept: it is only doubled where other bases are multiplied.
    pub(super) fn power_of_two(&self, exponent: &[u64]) -> Limbs {
        let mut out = self.one();
        for limb in exponent.iter().rev() {
            for bit in (0..64).rev() {
                out = self.multiply(&out, &out);
                if limb >> bit & 1 == 1 {
                    out = self.add(&out, &out);
                }
            }
        }
        out
    }

    /// One divided by a kept number, kept; for a prime modulus.
    pub(super) fn invert(&self, a: &[u64]) -> Limbs {
        let mut two = vec![0; self.number.len()];
        two[0] = 2;
        self.power(a, &subtract(&self.number, &two))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn small_numbers_as_the_machine_has_them(a: u64, b: u64, n: u64) {
            let n = n | 1;
            let modulus = Modulus::new(vec![n]);
            let (x, y) = (a % n, b % n);
            let (kx, ky) = (modulus.keep(&[x]), modulus.keep(&[y]));
            let product = modulus.release(&modulus.multiply(&kx, &ky));
            prop_assert_eq!(u128::from(product[0]), u128::from(x) * u128::from(y) % u128::from(n));
            let sum = modulus.add(&[x], &[y]);
            prop_assert_eq!(u128::from(sum[0]), (u128::from(x) + u128::from(y)) % u128::from(n));
            prop_assert_eq!(modulus.subtract(&sum, &[y]), vec![x]);
        }

        #[test]
        fn division_undoes_multiplication(a in prop::collection::vec(any::<u64>(), 1..9), b in 1u64.., r: u64) {
            let r = r % b;
            let (quotient, rest) = divide_small(&multiply_small(&a, b, r), b);
            prop_assert_eq!(&quotient[..a.len()], &a[..]);
            prop_assert_eq!(rest, r);
            prop_assert_eq!(from_bytes(&to_bytes(&a), a.len()), a);
        }
    }

    #[test]
    fn fermat() {
        // 2^127 - 1 is prime
        let modulus = Modulus::new(vec![u64::MAX, u64::MAX >> 1]);
        let three = modulus.keep(&[3, 0]);
        assert_eq!(
            modulus.power_of_two(&[77, 1]),
            modulus.power(&modulus.keep(&[2, 0]), &[77, 1])
        );
        let inverse = modulus.invert(&three);
        assert_eq!(modulus.release(&modulus.multiply(&three, &inverse)), [1, 0]);
    }
}
