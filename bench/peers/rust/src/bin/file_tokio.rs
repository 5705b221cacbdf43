// file_tokio THREADS BENCH [SCALE]: random reads of 4 KiB from a file of 64 MiB in the page cache, from 64 tasks. 0 threads:
// current_thread. file_cached: tokio's fs, each task a File of its own, seek and read. file_cached_at: a positional read per job on
// tokio's blocking pool, which tokio's fs does not offer. SLEY_BENCH_DIR says where the file is made.
use peers::{num_arg, Meter, Rng};
use std::io::{SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

const BLOCK: usize = 4096;
const BLOCKS: u64 = 16384;
const TASKS: u64 = 64;

fn make_file() -> PathBuf {
    let dir = std::env::var("SLEY_BENCH_DIR").unwrap_or_else(|_| "/var/tmp".into());
    let path = PathBuf::from(dir).join(format!("sley-file-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("create");
    for _ in 0..BLOCKS {
        file.write_all(&[b'x'; BLOCK]).expect("write");
    }
    file.sync_all().expect("fsync");
    path
}

fn offset(rng: &mut Rng) -> u64 {
    (rng.next() >> 20) % BLOCKS * BLOCK as u64
}

async fn reads(path: &PathBuf, n: u64) {
    let mut handles = Vec::new();
    for i in 0..TASKS {
        let mut file = tokio::fs::File::open(path).await.expect("open");
        handles.push(tokio::spawn(async move {
            let mut rng = Rng(42 + i * 7919);
            let mut buf = [0u8; BLOCK];
            for _ in 0..n / TASKS {
                file.seek(SeekFrom::Start(offset(&mut rng))).await.expect("seek");
                file.read_exact(&mut buf).await.expect("read");
            }
        }));
    }
    for h in handles {
        h.await.unwrap();
    }
}

async fn reads_at(path: &PathBuf, n: u64) {
    let file = Arc::new(std::fs::File::open(path).expect("open"));
    let mut handles = Vec::new();
    for i in 0..TASKS {
        let file = file.clone();
        handles.push(tokio::spawn(async move {
            let mut rng = Rng(42 + i * 7919);
            let mut buf = vec![0u8; BLOCK];
            for _ in 0..n / TASKS {
                let (file, at) = (file.clone(), offset(&mut rng));
                buf = tokio::task::spawn_blocking(move || {
                    file.read_exact_at(&mut buf, at).expect("read");
                    buf
                })
                .await
                .unwrap();
            }
        }));
    }
    for h in handles {
        h.await.unwrap();
    }
}

fn main() {
    let threads = num_arg(1, 0);
    let bench = std::env::args().nth(2).unwrap_or_else(|| "file_cached".into());
    let scale: f64 = std::env::args().nth(3).map_or(1.0, |s| s.parse().expect("number"));
    let n = ((200_000.0 * scale) as u64 / 10_000).max(1) * 10_000;
    let path = make_file();
    let rt = if threads == 0 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
    }
    .expect("runtime");
    rt.block_on(async {
        for (pass, n) in [n / 10, n].into_iter().enumerate() {
            let meter = Meter::new();
            match bench.as_str() {
                "file_cached" => reads(&path, n).await,
                "file_cached_at" => reads_at(&path, n).await,
                _ => panic!("no benchmark {}", bench),
            }
            if pass == 1 {
                meter.done(&bench, &format!("tokio{}", threads), n / TASKS * TASKS);
            }
        }
    });
    std::fs::remove_file(&path).expect("unlink");
}
