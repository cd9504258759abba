//! How long each phase of an attempt takes, for an image that is loaded already:
//!
//! ```text
//! cargo run -p belljar-sandbox --example phases -- <image id> [runs] [gvisor|runc]
//! ```
//!
//! The image's program must exit with 0 and write `/out/result.json`. Figures are medians in
//! milliseconds; compare them with `docker run --runtime belljar-runsc` of the same image.

use belljar_ids::{Digest, Epoch, ExecutorId, Fence, MapIndex};
use belljar_sandbox::{
    AttemptSpec, Collect, Declared, DockerConfig, DockerRuntime, Identity, Limits, Runtime,
    StopReason, Tier,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let image = args
        .next()
        .ok_or("usage: phases <image id> [runs] [gvisor|runc]")?;
    let runs: i64 = args.next().map_or(Ok(20), |runs| runs.parse())?;
    let plain = args.next().as_deref() == Some("runc");
    let tier = if plain {
        Tier::TrustedRunc
    } else {
        Tier::Gvisor
    };
    let dir = tempfile::tempdir()?;
    let executor: ExecutorId = format!("exe_{:032x}", std::process::id()).parse()?;
    let config = DockerConfig::new(executor, dir.path().join("state"), Vec::new());
    let runtime = DockerRuntime::connect(config).await?;
    let collect = Collect {
        staging: dir.path().to_owned(),
        declared: Declared {
            result_schema: serde_json::json!({}),
            artifacts: BTreeMap::new(),
        },
    };
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for fence in 1..=runs {
        let spec = AttemptSpec {
            identity: Identity {
                executor,
                epoch: Epoch(1),
                run: format!("run_{:032x}", 1).parse()?,
                task: "phases".parse()?,
                map_index: MapIndex::NONE,
                fence: Fence(fence),
                spec_digest: Digest::from_bytes([0; 32]),
            },
            image: image.parse()?,
            argv: None,
            env: BTreeMap::new(),
            inputs: Vec::new(),
            params: serde_json::json!({}),
            limits: Limits {
                cpu_millis: 2000,
                memory_bytes: 256 << 20,
                disk_bytes: 64 << 20,
                tmp_bytes: 32 << 20,
                pids: 64,
                timeout: Duration::from_secs(60),
                log_bytes: 1 << 20,
            },
            slot: 1,
            tier,
            trusted: plain,
            tmp_exec: false,
        };
        let name = spec.name();
        let whole = Instant::now();
        let mut lap = Instant::now();
        let mut note = |phase, lap: &mut Instant| {
            times.entry(phase).or_default().push(lap.elapsed());
            *lap = Instant::now();
        };
        runtime.prepare(&spec).await?;
        note("1 prepare", &mut lap);
        runtime.start(&name).await?;
        note("2 start", &mut lap);
        runtime.wait(&name).await?;
        note("3 wait", &mut lap);
        let finished = runtime.finish(&name, StopReason::Exited, &collect).await?;
        note("4 finish", &mut lap);
        note("5 until the report", &mut { whole });
        runtime.discard(&name).await?;
        note("6 discard", &mut lap);
        if fence == 1 {
            println!("{:?} {:?}", finished.verdict, finished.usage);
        }
    }
    for (phase, mut all) in times {
        all.sort();
        let median = all[all.len() / 2];
        println!("{phase:20} {:8.1} ms", median.as_secs_f64() * 1000.0);
    }
    Ok(())
}
