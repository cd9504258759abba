//! `belljar dataset …`.

use belljar_ids::DatasetName;
use std::path::PathBuf;

/// What to do with datasets.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum DatasetCommand {
    /// Put a file in as the newest version of a dataset
    ///
    /// The file is hashed first: bytes that the server has are not sent again, and the same bytes as the
    /// newest version make no new one. You own a dataset that you put in first; nobody else may use it.
    #[command(
        after_long_help = "Example:\n  belljar dataset put posts export.csv --media-type text/csv --description 'My posts'"
    )]
    Put {
        /// The dataset
        name: DatasetName,
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What kind of data it is, for example text/csv [default: from the file's ending]
        #[arg(long, value_name = "TYPE")]
        media_type: Option<String>,
        /// What the dataset is, in a sentence [default: as it was]
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List the datasets
    #[command(after_long_help = "Example:\n  belljar dataset list")]
    List,
    /// Show a dataset: its versions, and every run, request and receipt that read each
    #[command(
        after_long_help = "Example:\n  belljar dataset show posts\n  belljar dataset show posts --version 3"
    )]
    // The version meant here is the dataset's; a binary that hands `--version` down must not clash with it.
    #[command(disable_version_flag = true)]
    Show {
        /// The dataset
        name: DatasetName,
        /// Only uses of this version
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
}
