//! Running one small HTTP service until standard input ends.

use std::io::{Read, Write};

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer, rt};
use anyhow::{Context, Result};

/// Serves on the loopback address, says where on standard output, and stops when standard input ends: whoever started
/// it need only go away.
pub(crate) fn run(port: u16, configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Result<()> {
    rt::System::new().block_on(async move {
        let server = HttpServer::new(move || App::new().configure(configure.clone()))
            .workers(1)
            .shutdown_timeout(2)
            .bind(("127.0.0.1", port))
            .with_context(|| format!("port {port} cannot be used"))?;
        let address = server.addrs().first().copied().context("the service listens nowhere")?;
        let running = server.run();
        let handle = running.handle();
        let (ended, end) = tokio::sync::oneshot::channel();
        // A thread of its own: a pending read of standard input would hold the runtime's shutdown.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
            let _ = ended.send(());
        });
        rt::spawn(async move {
            let _ = end.await;
            handle.stop(true).await;
        });
        let mut stdout = std::io::stdout();
        writeln!(stdout, "ready http://{address}")?;
        stdout.flush()?;
        running.await.context("the service broke")
    })
}
