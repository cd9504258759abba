//! belljar-sdk-cli.
