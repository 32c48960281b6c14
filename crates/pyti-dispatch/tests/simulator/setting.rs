//! Who is there, what there is to do, and what will go wrong.

use pyti_dispatch::{JobKey, Needs, NewJob, Offers, Order, Priority};

use crate::worker::Worker;
use crate::world::{Call, Event, MINUTE, Nature, Plan, SECOND, World};

fn label(text: &str) -> pyti_dispatch::Label {
    text.parse().unwrap()
}

pub(crate) fn offers(n: usize, slots: u16) -> Offers {
    let interpreters: &[&str] = if n == 0 {
        &["cpython-3.12", "cpython-3.13"]
    } else {
        &["cpython-3.12"]
    };
    Offers {
        platform: label("linux/x86_64"),
        interpreters: interpreters.iter().map(|i| label(i)).collect(),
        isolations: [label("sandbox")].into(),
        memory_mib: if n == 1 { 1024 } else { 4096 },
        slots,
    }
}

impl World {
    pub(crate) fn people(&mut self, crowded: bool, count: usize) {
        for n in 0..count {
            let slots = if crowded {
                2
            } else {
                1 + self.chance.range(0, 3) as u16
            };
            let mut worker = Worker::new(n, slots);
            worker.broken = n > 0 && self.chance.per_mille(150);
            worker.liar = n > 0 && self.chance.per_mille(150);
            self.workers.push(worker);
            self.at(0, Event::Ask(Call::Enrol(n)));
            self.at(SECOND, Event::WorkerStarts(n));
        }
    }

    pub(crate) fn works(&mut self, crowded: bool) {
        let many = self.chance.range(12, 28) as usize;
        for n in 0..many {
            let nature = match self.chance.range(0, 20) {
                0 => Nature::Poison,
                1 => Nature::Faulty(1),
                2 => Nature::Faulty(9),
                3..6 => Nature::Bad,
                _ => Nature::Plain,
            };
            let flood = self.chance.per_mille(400);
            let takes = if crowded {
                self.chance.range(4 * MINUTE, 9 * MINUTE)
            } else {
                self.chance.range(20 * SECOND, 4 * MINUTE)
            };
            let digest = |n: usize| format!("{n:064x}").parse().unwrap();
            let rare = self.chance.per_mille(200);
            let new = NewJob {
                key: JobKey {
                    file: digest(n),
                    spec: digest(0),
                    generation: 0,
                },
                project: if flood {
                    "flood".to_owned()
                } else {
                    format!("p{n}")
                },
                needs: Needs {
                    platform: label("linux/x86_64"),
                    interpreter: label(if rare { "cpython-3.13" } else { "cpython-3.12" }),
                    isolation: label("sandbox"),
                    memory_mib: if self.chance.per_mille(200) { 2048 } else { 512 },
                },
                priority: Priority::ALL[self.chance.next() as usize % 5],
                captured: true,
            };
            self.plans.push(Plan {
                new,
                nature,
                takes,
                id: None,
            });
            let when = self.chance.range(2 * SECOND, self.calm_at * 2 / 3);
            self.at(when, Event::Ask(Call::Submit(n)));
            if self.chance.per_mille(150) {
                let again = self.chance.range(when, self.calm_at * 3 / 2);
                self.at(again, Event::Arrives(Call::Submit(n)));
            }
            if self.chance.per_mille(60) {
                let later = when + self.chance.range(0, 20 * MINUTE);
                self.at(later, Event::Ask(Call::Cancel(n)));
            }
        }
    }

    pub(crate) fn misfortune(&mut self, count: usize) {
        let end = self.calm_at;
        // with a slow disk more often, so that it also dies between deciding and writing
        let deaths = if self.disk > SECOND { 12 } else { 4 };
        for _ in 0..self.chance.range(0, deaths) {
            let when = self.chance.range(0, end);
            self.at(when, Event::ControllerDies);
        }
        for _ in 0..self.chance.range(0, 6) {
            let (when, worker) = (self.chance.range(0, end), self.chance.next() as usize % count);
            let for_ever = worker > 0 && self.chance.per_mille(200);
            self.at(when, Event::WorkerDies { worker, for_ever });
        }
        for _ in 0..self.chance.range(0, 3) {
            let from = self.chance.range(0, end);
            // an outage may last three leases
            let until = from + self.chance.range(SECOND, 6 * MINUTE);
            self.cut.push((self.chance.next() as usize % count, from, until));
        }
        for _ in 0..self.chance.range(0, 4) {
            let when = self.chance.range(0, end);
            let jump = self.chance.range(0, 240 * MINUTE).cast_signed() - (120 * MINUTE).cast_signed();
            self.at(when, Event::WallJump(jump));
        }
        if count > 1 {
            let when = self.chance.range(0, end);
            let worker = 1 + self.chance.next() as usize % (count - 1);
            match self.chance.range(0, 6) {
                0 => self.at(when, Event::Ask(Call::Revoke(worker))),
                1 => {
                    let order = if self.chance.per_mille(500) {
                        Order::Hold
                    } else {
                        Order::Drain
                    };
                    self.at(when, Event::Ask(Call::Order(worker, order)));
                    self.at(end, Event::Ask(Call::Order(worker, Order::Resume)));
                }
                _ => {}
            }
        }
        self.at(5 * SECOND, Event::Arrives(Call::Tick));
    }
}
