// From one thread's runtime to another's and back, written once and included by each peer's binary, which provides `mod rt`:
// `on_two(f)` runs `f(there)` on this thread beside another one that drives a runtime of its own, `there` spawns on that one.

use peers::Meter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

const MESSAGE: usize = 64;

/// The first CPUs that are allowed are for the two threads; with one, they share it.
fn pin(index: usize) {
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let size = std::mem::size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 || libc::CPU_COUNT(&allowed) < 2 {
            return;
        }
        let cpu = (0..libc::CPU_SETSIZE as usize)
            .filter(|c| libc::CPU_ISSET(*c, &allowed))
            .nth(index)
            .unwrap();
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut one);
        libc::sched_setaffinity(0, size, &one);
    }
}

/// A task on the other thread, and the wait for it.
async fn cross_run_on(there: &rt::There, n: u64) {
    let count = Arc::new(AtomicU64::new(0));
    for _ in 0..n {
        let count = count.clone();
        rt::join(there.spawn(async move {
            count.fetch_add(1, Ordering::Relaxed);
        }))
        .await;
    }
    assert_eq!(count.load(Ordering::Relaxed), n);
}

/// Two channels of capacity one.
async fn cross_chan(there: &rt::There, n: u64) {
    let (tx1, mut rx1) = rt::channel(1);
    let (tx2, mut rx2) = rt::channel(1);
    let ponger = there.spawn(async move {
        while let Some(x) = rt::recv(&mut rx1).await {
            rt::send(&tx2, x + 1).await;
        }
    });
    for i in 0..n {
        rt::send(&tx1, i).await;
        assert_eq!(rt::recv(&mut rx2).await, Some(i + 1));
    }
    drop(tx1);
    rt::join(ponger).await;
}

/// A message to an echo on the other thread, over a socket pair that belongs there as far as the runtime can tell.
async fn cross_op(there: &rt::There, n: u64) {
    let (mut here, mut other) = there.pair();
    let echo = there.spawn(async move {
        let mut buf = [0u8; MESSAGE];
        while other.read_exact(&mut buf).await.is_ok() {
            other.write_all(&buf).await.unwrap();
        }
    });
    let mut buf = [7u8; MESSAGE];
    for _ in 0..n {
        here.write_all(&buf).await.unwrap();
        here.read_exact(&mut buf).await.unwrap();
    }
    drop(here);
    rt::join(echo).await;
}

async fn bench(there: rt::There, name: String, scale: f64) -> bool {
    // multiples of 10000, as in micro.rs
    let n = ((50_000.0 * scale) as u64 / 10_000).max(1) * 10_000;
    let mut m = Meter::new();
    for k in [n / 10, n] {
        m = Meter::new(); // the first round warms up
        match name.as_str() {
            "cross_run_on" => cross_run_on(&there, k).await,
            "cross_chan" => cross_chan(&there, k).await,
            "cross_op" => cross_op(&there, k).await,
            _ => return false,
        }
    }
    m.done(&name, rt::PEER, n);
    true
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().cloned().unwrap_or_else(|| "list".into());
    if name == "list" {
        println!("cross_run_on\ncross_chan\ncross_op");
        return;
    }
    let scale = args.get(1).map_or(1.0, |s| s.parse().expect("SCALE"));
    if !rt::on_two(move |there| bench(there, name, scale)) {
        eprintln!("no such bench");
        std::process::exit(2);
    }
    std::process::exit(0) // the other thread goes along
}
