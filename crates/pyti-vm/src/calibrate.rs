//! How many times slower a guest is than its host, measured by one loop that both run.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Slowest that is believed: a guest that claims more gets no more time.
const MOST: f64 = 60.0;
/// Python code suffers more from emulation than a loop over registers does *(measured: bytecode 15×, hashing 42×)*.
const EMULATED_AT_LEAST: f64 = 15.0;

/// Rounds of a loop of arithmetic, memory and jumps that this machine does in a millisecond. Takes that long.
pub fn rounds_per_ms(time: Duration) -> u64 {
    let mut table = [0u32; 256];
    let (began, mut rounds, mut state) = (Instant::now(), 0u64, 0x9e37_79b9_u32);
    while began.elapsed() < time {
        for _ in 0..1000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (state >> 24) as usize;
            table[at] = table[at].rotate_left(state & 31) ^ state;
            if table[at] & 1 == 0 {
                state ^= table[(at + 1) % 256];
            }
        }
        rounds += 1;
    }
    black_box(&table);
    let ms = u64::try_from(began.elapsed().as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    rounds.saturating_mul(1000) / ms
}

/// By how much limits of time are stretched. Never under 1; the guest's number is hostile and bounded.
pub fn scale(host: u64, guest: u64, emulated: bool) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let measured = host as f64 / guest.max(1) as f64;
    let least = if emulated { EMULATED_AT_LEAST } else { 1.0 };
    measured.clamp(least, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_does_something() {
        assert!(rounds_per_ms(Duration::from_millis(5)) > 0);
    }

    #[test]
    fn the_scale_is_bounded_whatever_a_guest_claims() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(scale(2000, 1000, false), 2.0));
        assert!(close(scale(1000, 2000, false), 1.0), "a guest is never faster");
        assert!(close(scale(1000, 0, false), MOST));
        assert!(close(scale(1000, u64::MAX, true), EMULATED_AT_LEAST));
        assert!(close(scale(20_000, 1000, true), 20.0));
    }
}
