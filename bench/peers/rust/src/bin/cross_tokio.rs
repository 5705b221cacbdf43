//! cross_tokio BENCH [SCALE]: two current_thread runtimes, each on a thread of its own.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod rt {
    use std::future::Future;
    use tokio::net::UnixStream;
    use tokio::runtime::{Builder, Handle};

    pub const PEER: &str = "tokio-ct-2";
    pub type Receiver = tokio::sync::mpsc::Receiver<u64>;
    pub type Sender = tokio::sync::mpsc::Sender<u64>;

    pub struct There(Handle);

    impl There {
        pub fn spawn<T: Send + 'static>(&self, f: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
            self.0.spawn(f)
        }

        /// Registered with the other runtime's driver.
        pub fn pair(&self) -> (UnixStream, UnixStream) {
            let _there = self.0.enter();
            UnixStream::pair().unwrap()
        }
    }

    pub fn on_two<F: Future<Output = bool> + Send + 'static>(f: impl FnOnce(There) -> F) -> bool {
        let (tx, rx) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            super::pin(1);
            let rt = Builder::new_current_thread().enable_all().build().unwrap();
            tx.send(rt.handle().clone()).unwrap();
            rt.block_on(std::future::pending::<()>());
        });
        super::pin(0);
        let there = There(rx.recv().unwrap());
        let rt = Builder::new_current_thread().enable_all().build().unwrap();
        let f = f(there);
        rt.block_on(async { tokio::spawn(f).await.unwrap() })
    }

    pub async fn join<T>(h: tokio::task::JoinHandle<T>) -> T {
        h.await.unwrap()
    }

    pub fn channel(n: usize) -> (Sender, Receiver) {
        tokio::sync::mpsc::channel(n)
    }

    pub async fn send(tx: &Sender, x: u64) {
        tx.send(x).await.unwrap()
    }

    pub async fn recv(rx: &mut Receiver) -> Option<u64> {
        rx.recv().await
    }
}

include!("../cross.rs");
