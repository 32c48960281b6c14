//! Futures side by side on one thread of control: the next that ends is taken.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

pub(crate) struct FuturesSet<'a, T> {
    futures: Vec<Pin<Box<dyn Future<Output = T> + 'a>>>,
}

impl<'a, T> FuturesSet<'a, T> {
    pub(crate) fn new() -> Self {
        Self { futures: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.futures.len()
    }

    pub(crate) fn push(&mut self, future: Pin<Box<dyn Future<Output = T> + 'a>>) {
        self.futures.push(future);
    }

    pub(crate) async fn next(&mut self) -> Option<T> {
        if self.futures.is_empty() {
            return None;
        }
        let (at, value) = poll_fn(|cx| {
            for (at, future) in self.futures.iter_mut().enumerate() {
                if let Poll::Ready(value) = future.as_mut().poll(cx) {
                    return Poll::Ready((at, value));
                }
            }
            Poll::Pending
        })
        .await;
        drop(self.futures.swap_remove(at));
        Some(value)
    }
}
