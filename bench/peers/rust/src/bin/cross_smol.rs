//! cross_smol BENCH [SCALE]: two executors, each run by a thread of its own; smol has one reactor for both.

use futures_lite::{AsyncReadExt, AsyncWriteExt};

mod rt {
    use smol::net::unix::UnixStream;
    use smol::Executor;
    use std::future::Future;

    pub const PEER: &str = "smol-2";
    pub type Receiver = async_channel::Receiver<u64>;
    pub type Sender = async_channel::Sender<u64>;
    pub use async_channel::bounded as channel;

    pub struct There(&'static Executor<'static>);

    impl There {
        pub fn spawn<T: Send + 'static>(&self, f: impl Future<Output = T> + Send + 'static) -> smol::Task<T> {
            self.0.spawn(f)
        }

        pub fn pair(&self) -> (UnixStream, UnixStream) {
            UnixStream::pair().unwrap()
        }
    }

    pub fn on_two<F: Future<Output = bool> + Send + 'static>(f: impl FnOnce(There) -> F) -> bool {
        let there: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        let here: &'static Executor<'static> = Box::leak(Box::new(Executor::new()));
        std::thread::spawn(move || {
            super::pin(1);
            smol::block_on(there.run(std::future::pending::<()>()));
        });
        super::pin(0);
        smol::block_on(here.run(here.spawn(f(There(there)))))
    }

    pub async fn join<T>(h: smol::Task<T>) -> T {
        h.await
    }

    pub async fn send(tx: &Sender, x: u64) {
        tx.send(x).await.unwrap()
    }

    pub async fn recv(rx: &mut Receiver) -> Option<u64> {
        rx.recv().await.ok()
    }
}

include!("../cross.rs");
