//! How fast bytes are searched: `cargo bench -p pyti-decoy`.

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use pyti_decoy::Needles;
use pyti_model::trace::{Decoy, DecoyPlace};

/// The usual size of what is searched, bytes.
const SIZE: u32 = 64 << 10;

fn random(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed | 1;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).ok()
    })
}

fn letters(seed: u64, alphabet: &'static [u8]) -> impl Iterator<Item = u8> {
    random(seed).map(move |b| alphabet[usize::from(b) % alphabet.len()])
}

const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() {
    let decoys: Vec<Decoy> = (0..64)
        .map(|number| Decoy {
            id: number.to_string(),
            family: String::new(),
            place: DecoyPlace::Variable(String::new()),
            secrets: vec![
                String::from_utf8_lossy(&letters(number + 1, SECRET).take(40).collect::<Vec<_>>()).into(),
            ],
            commonly_read: false,
        })
        .collect();
    let started = Instant::now();
    let needles = Needles::new(&decoys);
    println!(
        "{} decoys made ready in {:.1} ms",
        decoys.len(),
        started.elapsed().as_secs_f64() * 1e3
    );

    let text = letters(7, b"etaoinshrdlu etaoinshrdlu \n{}:;\",.=/ABC0123")
        .take(SIZE as usize)
        .collect();
    let json: Vec<u8> = (0..SIZE / 64)
        .flat_map(|number| {
            format!(
                "{{\"id\": {number}, \"path\": \"/home/user/projects/app/{number}.py\", \"size\": {}}},\n",
                number * 77
            )
            .into_bytes()
        })
        .take(SIZE as usize)
        .collect();
    let noise: Vec<u8> = random(9).take(SIZE as usize).collect();
    let base64 = base64::engine::general_purpose::STANDARD
        .encode(&noise[..noise.len() * 3 / 4])
        .into_bytes();
    for (name, bytes) in [
        ("letters", text),
        ("json", json),
        ("random bytes", noise),
        ("base64", base64),
    ] {
        // only what was asked for
        if std::env::args()
            .nth(1)
            .is_some_and(|filter| !filter.starts_with('-') && filter != name)
        {
            continue;
        }
        for (what, search) in [
            ("forms", Needles::plainly as fn(&Needles, &[u8]) -> _),
            ("all readings", Needles::search),
        ] {
            // the best of many rounds: the others measure who else uses the machine
            let (started, mut best) = (Instant::now(), f64::INFINITY);
            while started.elapsed().as_secs_f64() < 1.0 {
                let round = Instant::now();
                assert!(search(&needles, black_box(&bytes)).is_empty());
                best = best.min(round.elapsed().as_secs_f64());
            }
            let speed = f64::from(SIZE) / best / 1e6;
            println!("{name:13} {what:14} {speed:8.0} MB/s");
        }
    }
}
