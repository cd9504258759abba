//! `belljar login`.

use crate::config::remember;
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;

/// Checks server and token, and remembers them.
pub async fn login(context: &Context) -> Result<ExitCode> {
    // The server first: where it does not run, that is what there is to say.
    let who = context.client.whoami().await?;
    let settings = &context.settings;
    let Some(token) = &settings.token else {
        return Err(CommandError::new(
            ExitCode::Forbidden,
            "there is no token to remember",
        ));
    };
    let written = remember(&context.environment, &settings.server, token)?;
    if context.io.is_json() {
        context.io.json(&who)?;
        return Ok(ExitCode::Success);
    }
    let role = escape::line(&who.role);
    context.io.line(&format!(
        "signed in to {} as {} ({role})",
        context.client.server(),
        who.principal
    ))?;
    for path in written {
        context.io.say(&format!(
            "wrote {}",
            escape::line(&path.display().to_string())
        ));
    }
    Ok(ExitCode::Success)
}
