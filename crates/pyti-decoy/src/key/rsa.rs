//! RSA keys of 2048 bits, in the forms of PKCS #1 and #8.

use sha2::{Digest as _, Sha256};

use super::der::{integer, null, octets, oid, sequence};
use super::number::{self, Limbs, Modulus};
use crate::chance::Chance;

/// Limbs of a prime of 1024 bits.
const LIMBS: usize = 16;
/// The public exponent of all keys.
const EXPONENT: u64 = 65_537;
/// Numbers that are looked at from one beginning.
const STRETCH: u64 = 20_000;

/// Four primes, of which six keys are made. Each two keys that share a prime would be broken by whoever compares
/// them; they protect nothing, and finding a prime is what takes time.
pub(crate) struct Primes([Limbs; 4]);

impl Primes {
    pub(crate) fn find(chance: &mut Chance) -> Self {
        let small = small_primes();
        Self(std::array::from_fn(|_| prime(chance, &small)))
    }

    /// The key of two of the primes.
    pub(crate) fn key(&self, first: usize, second: usize) -> RsaKey {
        RsaKey::new(&self.0[first % 4], &self.0[second % 4])
    }
}

fn small_primes() -> Vec<u64> {
    let mut out: Vec<u64> = Vec::new();
    for candidate in 3..10_000 {
        if out
            .iter()
            .take_while(|p| **p * **p <= candidate)
            .all(|p| candidate % p != 0)
            && candidate % 2 == 1
        {
            out.push(candidate);
        }
    }
    out
}

fn prime(chance: &mut Chance, small: &[u64]) -> Limbs {
    loop {
        let mut start: Limbs = (0..LIMBS).map(|_| chance.number()).collect();
        start[0] |= 1;
        // room for the stretch, and a product that has all its bits
        start[0] &= u64::MAX >> 1;
        start[LIMBS - 1] |= 3 << 62;
        let rests: Vec<(u64, u64)> = small
            .iter()
            .map(|p| (*p, number::divide_small(&start, *p).1))
            .collect();
        for step in (0..STRETCH).step_by(2) {
            if rests.iter().any(|(p, rest)| (rest + step) % p == 0) {
                continue;
            }
            let mut candidate = start.clone();
            candidate[0] += step;
            if number::divide_small(&candidate, EXPONENT).1 != 1 && is_prime(&candidate) {
                return candidate;
            }
        }
    }
}

/// Fermat's test with two bases: of random numbers of this size practically none passes that is no prime.
fn is_prime(candidate: &Limbs) -> bool {
    let modulus = Modulus::new(candidate.clone());
    let mut one_less = candidate.clone();
    one_less[0] -= 1;
    let mut three = vec![0; LIMBS];
    three[0] = 3;
    modulus.power_of_two(&one_less) == modulus.one()
        && modulus.power(&modulus.keep(&three), &one_less) == modulus.one()
}

/// `1 / EXPONENT`, modulo `m`.
fn inverse_of_exponent(m: &[u64]) -> Limbs {
    let rest = number::divide_small(m, EXPONENT).1;
    // EXPONENT is prime: rest^(EXPONENT - 2) is the inverse of rest
    let inverse = (0..EXPONENT - 2).fold(1, |x, _| x * rest % EXPONENT);
    let sum = number::multiply_small(m, EXPONENT - inverse, 1);
    number::divide_small(&sum, EXPONENT).0
}

/// A private key. Numbers are bytes, the highest first.
pub(crate) struct RsaKey {
    pub(crate) n: Vec<u8>,
    pub(crate) d: Vec<u8>,
    pub(crate) p: Vec<u8>,
    pub(crate) q: Vec<u8>,
    pub(crate) q_inverse: Vec<u8>,
    modulus: Limbs,
    exponent: Limbs,
}

impl RsaKey {
    fn new(first: &Limbs, second: &Limbs) -> Self {
        // q below p, as most programs have it
        let (p, q) = if number::compare(first, second).is_gt() {
            (first, second)
        } else {
            (second, first)
        };
        let less = |x: &Limbs| {
            let mut x = x.clone();
            x[0] -= 1;
            x
        };
        let modulus = number::multiply(p, q);
        let phi = number::multiply(&less(p), &less(q));
        let exponent = inverse_of_exponent(&phi);
        let field = Modulus::new(p.clone());
        let q_inverse = field.release(&field.invert(&field.keep(q)));
        Self {
            n: number::to_bytes(&modulus),
            d: number::to_bytes(&exponent),
            p: number::to_bytes(p),
            q: number::to_bytes(q),
            q_inverse: number::to_bytes(&q_inverse),
            modulus,
            exponent,
        }
    }

    pub(crate) fn exponent() -> Vec<u8> {
        number::to_bytes(&[EXPONENT])
    }

    /// As in `BEGIN RSA PRIVATE KEY`.
    pub(crate) fn pkcs1(&self) -> Vec<u8> {
        let of = |x: &[u8]| {
            let mut less = number::from_bytes(x, LIMBS);
            less[0] -= 1;
            integer(&number::to_bytes(&inverse_of_exponent(&less)))
        };
        sequence(&[
            integer(&[0]),
            integer(&self.n),
            integer(&Self::exponent()),
            integer(&self.d),
            integer(&self.p),
            integer(&self.q),
            of(&self.p),
            of(&self.q),
            integer(&self.q_inverse),
        ])
    }

    /// As in `BEGIN PRIVATE KEY`.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        sequence(&[integer(&[0]), algorithm(), octets(&self.pkcs1())])
    }

    /// The public key, as certificates hold it.
    pub(crate) fn public(&self) -> Vec<u8> {
        let key = sequence(&[integer(&self.n), integer(&Self::exponent())]);
        sequence(&[algorithm(), super::der::bits(&key)])
    }

    /// A signature of PKCS #1 with SHA-256.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
        let digest = sequence(&[sequence(&[oid(SHA256), null()]), octets(&Sha256::digest(message))]);
        let mut block = vec![0, 1];
        block.resize(self.n.len() - digest.len() - 1, 0xff);
        block.push(0);
        block.extend_from_slice(&digest);
        let modulus = Modulus::new(self.modulus.clone());
        let kept = modulus.keep(&number::from_bytes(&block, self.modulus.len()));
        let signature = modulus.release(&modulus.power(&kept, &self.exponent));
        signature
            .iter()
            .rev()
            .flat_map(|limb| limb.to_be_bytes())
            .collect()
    }
}

fn algorithm() -> Vec<u8> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    sequence(&[oid(RSA), null()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_primes_are_those() {
        assert_eq!(small_primes()[..9], [3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(small_primes().len(), 1228);
    }

    #[test]
    fn the_exponent_is_undone() {
        let m = number::multiply(&[u64::MAX, 12, 99], &[7, 8, 9]);
        let inverse = inverse_of_exponent(&m);
        let product = number::multiply_small(&inverse, EXPONENT, 0);
        // what is over one is a multiple of m
        let mut rest = product;
        rest[0] -= 1;
        let times = number::divide_small(&number::multiply_small(&m, EXPONENT, 0), EXPONENT).0;
        assert_eq!(times[..m.len()], m[..]);
        assert!((1..EXPONENT).any(|k| number::multiply_small(&m, k, 0)[..] == rest[..=m.len()]));
    }
}
