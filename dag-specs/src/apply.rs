//! A DAG against what is published: analyses, datasets and pools.
//!
//! Pure: the caller looks things up. What this accepts can run, but for what only a run's own
//! parameters decide, which [`crate::params`] checks.

use crate::code;
use crate::dag::{Dag, Task, TaskTimeout};
use crate::names::{AnalysisRef, DatasetName, DatasetSelector, InputSource, PoolName};
use crate::params;
use belljar_manifest::diagnostic::{Problems, Target, join_pointer, nearest};
use belljar_manifest::{Diagnostic, InputKind, InputSpec, Manifest, MediaType, OutPath};
use std::fmt::Display;
use std::sync::Arc;

/// A published version of an analysis.
#[derive(Debug, Clone)]
pub struct ResolvedAnalysis {
    /// Its version.
    pub version: semver::Version,
    /// Its manifest.
    pub manifest: Arc<Manifest>,
}

/// What must be known about a version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInfo {
    /// The media type of its content.
    pub media_type: MediaType,
    /// Whether it is a file or a folder.
    pub kind: InputKind,
}

/// What is published, as the principal who applies the DAG may see it.
pub trait Catalogue {
    /// The newest published version of an analysis that a reference selects.
    fn analysis(&self, reference: &AnalysisRef) -> Option<ResolvedAnalysis>;
    /// The version of a dataset that a reference selects.
    fn dataset(&self, name: &DatasetName, version: &DatasetSelector) -> Option<DatasetInfo>;
    /// The slots of a pool.
    fn pool(&self, name: &PoolName) -> Option<u32>;
}

/// Checks that every reference of `dag` has a match and that inputs, media types, parameters,
/// resources and pools fit. An empty list is success.
///
/// The diagnostics have JSON Pointers into the spec and no spans:
/// [`belljar_manifest::Source::locate`] adds those.
#[must_use]
pub fn check_against(dag: &Dag, catalogue: &dyn Catalogue) -> Vec<Diagnostic> {
    let resolved: Vec<_> = dag
        .tasks()
        .iter()
        .map(|task| catalogue.analysis(&task.analysis))
        .collect();
    let mut check = Check {
        dag,
        catalogue,
        resolved: &resolved,
        problems: Problems::default(),
    };
    for (task, analysis) in dag.tasks().iter().zip(&resolved) {
        check.task(task, analysis.as_ref());
    }
    check.problems.into_vec()
}

struct Check<'a> {
    dag: &'a Dag,
    catalogue: &'a dyn Catalogue,
    resolved: &'a [Option<ResolvedAnalysis>],
    problems: Problems,
}

impl Check<'_> {
    fn task(&mut self, task: &Task, analysis: Option<&ResolvedAnalysis>) {
        let pointer = join_pointer("/tasks", task.name.as_str());
        self.pools(&pointer, task);
        match analysis {
            None => {
                let message = format!(
                    "no published version of an analysis matches `{}`",
                    task.analysis
                );
                let place = format!("{pointer}/analysis");
                self.problems
                    .push(Diagnostic::error(&code::UNKNOWN_ANALYSIS, place, message));
                self.datasets_exist(&pointer, task);
            }
            Some(analysis) => {
                self.inputs(&pointer, task, analysis);
                self.resources(&pointer, task, &analysis.manifest);
                self.problems
                    .extend(params::check_static(task, &analysis.manifest));
            }
        }
    }

    fn pools(&mut self, pointer: &str, task: &Task) {
        for pool in &task.pools {
            let message = match self.catalogue.pool(&pool.name) {
                None => format!("there is no pool `{}`", pool.name),
                Some(slots) if slots < pool.slots => {
                    format!(
                        "the pool `{}` has {slots} slots, fewer than the {} that the task takes",
                        pool.name, pool.slots
                    )
                }
                Some(_) => continue,
            };
            // The DAG's list is sorted, the spec's is as written.
            let written = self
                .dag
                .spec()
                .tasks
                .get(&task.name)
                .map_or(&[][..], |task| &task.pool);
            let index = written
                .iter()
                .position(|own| own.name == pool.name)
                .unwrap_or_default();
            let problem = Diagnostic::error(
                &code::UNKNOWN_POOL,
                format!("{pointer}/pool/{index}/name"),
                message,
            );
            self.problems.push(problem.help(format!(
                "make it with `belljar pool set {} --slots {}`",
                pool.name, pool.slots
            )));
        }
    }

    /// For a task whose analysis is unknown: its datasets are still looked up.
    fn datasets_exist(&mut self, pointer: &str, task: &Task) {
        for (input, source) in &task.inputs {
            if let InputSource::Dataset { name, version } = source {
                self.dataset(&format!("{pointer}/inputs/{input}"), name, version);
            }
        }
    }

    fn dataset(
        &mut self,
        place: &str,
        name: &DatasetName,
        version: &DatasetSelector,
    ) -> Option<DatasetInfo> {
        let found = self.catalogue.dataset(name, version);
        if found.is_none() {
            let message = match version {
                DatasetSelector::Newest => format!("there is no dataset `{name}`"),
                DatasetSelector::Number(number) => {
                    format!("the dataset `{name}` has no version {number}")
                }
                DatasetSelector::Digest(digest) => {
                    format!("the dataset `{name}` has no version {digest}")
                }
            };
            let problem = Diagnostic::error(&code::UNKNOWN_DATASET, place, message);
            self.problems.push(problem.help(format!(
                "put it in with `belljar dataset put {name} <file>`"
            )));
        }
        found
    }

    fn inputs(&mut self, pointer: &str, task: &Task, analysis: &ResolvedAnalysis) {
        let declared = &analysis.manifest.inputs;
        let missing = declared
            .iter()
            .filter(|(name, input)| !input.optional && !task.inputs.contains_key(*name));
        for (name, _) in missing {
            let message = format!(
                "the input `{name}` of {} {} is missing",
                task.analysis.name, analysis.version
            );
            let problem = Diagnostic::error(&code::MISSING_INPUT, pointer, message).at(Target::Key);
            self.problems.push(problem.help(format!(
                "add `{name}: task:<task>/<path>` or `{name}: dataset:<name>` under `inputs`"
            )));
        }
        for (name, source) in &task.inputs {
            let place = format!("{pointer}/inputs/{name}");
            match declared.get(name) {
                Some(input) => self.source(&place, input, source),
                None => self.unknown_input(&place, name.as_str(), task, analysis),
            }
        }
    }

    fn unknown_input(&mut self, place: &str, name: &str, task: &Task, analysis: &ResolvedAnalysis) {
        let message = format!(
            "{} {} has no input `{name}`",
            task.analysis.name, analysis.version
        );
        let problem = Diagnostic::error(&code::UNKNOWN_INPUT, place, message).at(Target::Key);
        let known: Vec<_> = analysis
            .manifest
            .inputs
            .keys()
            .map(|name| name.as_str())
            .collect();
        self.problems
            .push(match nearest(name, known.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None if known.is_empty() => problem.help("the analysis has no inputs"),
                None => problem.help(format!("its inputs are {}", known.join(", "))),
            });
    }

    fn source(&mut self, place: &str, input: &InputSpec, source: &InputSource) {
        match source {
            InputSource::Dataset { name, version } => {
                let Some(dataset) = self.dataset(place, name, version) else {
                    return;
                };
                self.media_type(
                    place,
                    input,
                    &dataset.media_type,
                    &format!("the dataset `{name}`"),
                );
                if dataset.kind != input.kind {
                    let message = format!(
                        "the input wants a {}, the dataset `{name}` is a {}",
                        kind(input.kind),
                        kind(dataset.kind)
                    );
                    self.problems
                        .push(Diagnostic::error(&code::KIND_MISMATCH, place, message));
                }
            }
            InputSource::Task { task, path } => {
                let index = self.dag.index_of(task);
                // An unknown upstream analysis has its own diagnostic.
                let Some(Some(upstream)) = index.map(|index| &self.resolved[index.get()]) else {
                    return;
                };
                self.output(
                    place,
                    input,
                    path,
                    task.as_str(),
                    &upstream.manifest.clone(),
                );
            }
        }
    }

    /// Checks an input that reads an output of another task.
    fn output(
        &mut self,
        place: &str,
        input: &InputSpec,
        path: &OutPath,
        task: &str,
        upstream: &Manifest,
    ) {
        if input.kind == InputKind::Folder {
            let message = format!("the input wants a folder, `{path}` of `{task}` is a file");
            self.problems
                .push(Diagnostic::error(&code::KIND_MISMATCH, place, message));
            return;
        }
        if path.is_result() {
            self.media_type(
                place,
                input,
                &MediaType::json(),
                &format!("the result of `{task}`"),
            );
            return;
        }
        let Some((name, artifact)) = upstream.artifact_at(path) else {
            let message = format!("the task `{task}` makes no `{path}`");
            let paths = upstream
                .artifacts
                .values()
                .map(|artifact| artifact.path.as_str());
            let all: Vec<_> = std::iter::once(belljar_manifest::RESULT_PATH)
                .chain(paths)
                .collect();
            let help = match nearest(path.as_str(), all.iter().copied()) {
                Some(near) => format!("did you mean `task:{task}/{near}`?"),
                None => format!("its outputs are {}", all.join(", ")),
            };
            self.problems
                .push(Diagnostic::error(&code::UNKNOWN_ARTIFACT, place, message).help(help));
            return;
        };
        self.media_type(
            place,
            input,
            &artifact.media_type,
            &format!("the artifact `{name}` of `{task}`"),
        );
        if artifact.optional && !input.optional {
            let message =
                format!("the artifact `{name}` of `{task}` may be absent, but the input may not");
            self.problems
                .push(Diagnostic::error(&code::OPTIONAL_ARTIFACT, place, message));
        }
    }

    fn media_type(&mut self, place: &str, input: &InputSpec, found: &MediaType, what: &str) {
        if *found != input.media_type {
            let message = format!("the input wants {}, {what} is {found}", input.media_type);
            self.problems.push(Diagnostic::error(
                &code::MEDIA_TYPE_MISMATCH,
                place,
                message,
            ));
        }
    }

    fn resources(&mut self, pointer: &str, task: &Task, manifest: &Manifest) {
        let (own, most) = (&task.resources, &manifest.resources);
        self.lowered(pointer, "cpu", own.cpu, most.cpu);
        self.lowered(pointer, "memory", own.memory, most.memory);
        self.lowered(pointer, "disk", own.disk, most.disk);
        self.lowered(pointer, "tmp", own.tmp, most.tmp);
        self.lowered(pointer, "pids", own.pids, most.pids);
        if let Some(TaskTimeout::Own(timeout)) = task.timeout
            && timeout > most.timeout
        {
            let message = format!(
                "`timeout` is {timeout}, above the {} of the analysis",
                most.timeout
            );
            self.problems.push(Diagnostic::error(
                &code::TIMEOUT_RAISED,
                format!("{pointer}/timeout"),
                message,
            ));
        }
    }

    fn lowered<T: Ord + Display>(&mut self, pointer: &str, name: &str, own: Option<T>, most: T) {
        if let Some(own) = own.filter(|own| *own > most) {
            let message = format!("`{name}` is {own}, above the {most} of the analysis");
            let place = format!("{pointer}/resources/{name}");
            self.problems
                .push(Diagnostic::error(&code::RESOURCE_RAISED, place, message));
        }
    }
}

const fn kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::File => "file",
        InputKind::Folder => "folder",
    }
}
