//! What runs are made of: DAGs, analyses, datasets, pools and tokens. The engine keeps what it must
//! check and writes the rows; their meaning is the service's.

use crate::command::{DagApply, Refusal, Reply};
use crate::engine::{Cx, Engine};
use crate::permits::Permit;
use crate::rows::{
    AnalysisRow, Change, DagRow, DagVersionRow, DatasetRow, DatasetVersionRow, PoolRow, TokenRow,
};
use belljar_ids::{AnalysisName, DagName, PoolName, PrincipalName, TenantId};
use serde_json::json;

impl Engine {
    pub(crate) fn dag_apply(&mut self, apply: DagApply, cx: &mut Cx<'_>) -> Result<Reply, Refusal> {
        let key = (apply.tenant.clone(), apply.dag.clone());
        let dag = self.dags.entry(key.clone()).or_default();
        let old = dag.row.clone();
        let changed = old.as_ref().is_none_or(|row| row.version != apply.version);
        let paused = apply
            .paused
            .or(old.as_ref().map(|row| row.paused))
            .unwrap_or(false);
        if let Some(row) = &old
            && !changed
            && row.paused == paused
        {
            return Ok(Reply::Dag {
                dag: row.clone(),
                changed: false,
            });
        }
        let number = old.as_ref().map_or(0, |row| row.number) + u32::from(changed);
        let row = DagRow {
            tenant: apply.tenant.clone(),
            dag: apply.dag.clone(),
            version: apply.version,
            number,
            paused,
            owner: old
                .as_ref()
                .map_or_else(|| apply.principal.clone(), |row| row.owner.clone()),
            created_at: old.as_ref().map_or(cx.now, |row| row.created_at),
            updated_at: cx.now,
        };
        dag.row = Some(row.clone());
        if changed {
            Self::change(
                cx,
                Change::DagVersion(DagVersionRow {
                    tenant: apply.tenant,
                    dag: apply.dag,
                    version: apply.version,
                    number,
                    source: apply.source,
                    spec: apply.spec,
                    created_by: apply.principal.clone(),
                    created_at: cx.now,
                }),
            );
        }
        self.write_dag(&row, "dag.applied", &apply.principal, cx);
        self.admit_more(&key, cx.out);
        Ok(Reply::Dag { dag: row, changed })
    }

    fn write_dag(&mut self, row: &DagRow, kind: &str, principal: &PrincipalName, cx: &mut Cx<'_>) {
        Self::change(cx, Change::Dag(row.clone()));
        let data = json!({
            "dag": row.dag,
            "version": row.version,
            "number": row.number,
            "paused": row.paused,
            "principal": principal,
        });
        self.event(
            cx,
            &row.tenant,
            kind,
            format!("dag/{}", row.dag),
            None,
            data,
        );
    }

    pub(crate) fn dag_pause(
        &mut self,
        tenant: TenantId,
        name: DagName,
        paused: bool,
        principal: &PrincipalName,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let unknown = || Refusal::NotFound {
            kind: "DAG",
            name: name.to_string(),
        };
        let key = (tenant, name.clone());
        let row = self
            .dags
            .get_mut(&key)
            .and_then(|dag| dag.row.as_mut())
            .ok_or_else(unknown)?;
        if row.paused == paused {
            return Ok(Reply::Dag {
                dag: row.clone(),
                changed: false,
            });
        }
        row.paused = paused;
        row.updated_at = cx.now;
        let row = row.clone();
        let kind = if paused { "dag.paused" } else { "dag.unpaused" };
        self.write_dag(&row, kind, principal, cx);
        self.admit_more(&key, cx.out);
        Ok(Reply::Dag {
            dag: row,
            changed: true,
        })
    }

    pub(crate) fn analysis_put(
        &mut self,
        mut row: AnalysisRow,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let key = (
            row.tenant.clone(),
            row.analysis.clone(),
            row.version.clone(),
        );
        if let Some(old) = self.analyses.get(&key) {
            if old.digest != row.digest {
                return Err(Refusal::Conflict(format!(
                    "version {} of analysis `{}` is published with another content ({}); a \
                     version never changes: raise the version in analysis.yaml",
                    row.version, row.analysis, old.digest
                )));
            }
            return Ok(Reply::Analysis {
                analysis: Box::new(old.clone()),
                created: false,
            });
        }
        row.created_at = cx.now;
        self.analyses.insert(key, row.clone());
        self.write_analysis(&row, "analysis.submitted", &row.publisher.clone(), cx);
        Ok(Reply::Analysis {
            analysis: Box::new(row),
            created: true,
        })
    }

    fn write_analysis(
        &mut self,
        row: &AnalysisRow,
        kind: &str,
        principal: &PrincipalName,
        cx: &mut Cx<'_>,
    ) {
        Self::change(cx, Change::Analysis(row.clone()));
        let data = json!({
            "analysis": row.analysis,
            "version": row.version,
            "digest": row.digest,
            "trusted": row.trusted,
            "principal": principal,
        });
        let subject = format!("analysis/{}@{}", row.analysis, row.version);
        self.event(cx, &row.tenant, kind, subject, None, data);
    }

    pub(crate) fn analysis_trust(
        &mut self,
        key: (TenantId, AnalysisName, String),
        trusted: bool,
        principal: &PrincipalName,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let row = self
            .analyses
            .get_mut(&key)
            .ok_or_else(|| Refusal::NotFound {
                kind: "analysis version",
                name: format!("{}@{}", key.1, key.2),
            })?;
        if row.trusted != trusted {
            row.trusted = trusted;
            let row = row.clone();
            let kind = if trusted {
                "analysis.trusted"
            } else {
                "analysis.untrusted"
            };
            self.write_analysis(&row, kind, principal, cx);
            return Ok(Reply::Analysis {
                analysis: Box::new(row),
                created: false,
            });
        }
        Ok(Reply::Analysis {
            analysis: Box::new(row.clone()),
            created: false,
        })
    }

    pub(crate) fn dataset_put(
        &mut self,
        mut version: DatasetVersionRow,
        description: Option<String>,
        cx: &mut Cx<'_>,
    ) -> Result<Reply, Refusal> {
        let key = (version.tenant.clone(), version.dataset.clone());
        let old = self.datasets.get(&key);
        if let Some((dataset, newest)) = old {
            if dataset.owner != version.created_by {
                return Err(Refusal::NotOwner(version.dataset));
            }
            if let Some(newest) = newest
                && newest.blob == version.blob
                && newest.media_type == version.media_type
                && description
                    .as_ref()
                    .is_none_or(|d| *d == dataset.description)
            {
                return Ok(Reply::Dataset {
                    version: newest.clone(),
                    created: false,
                });
            }
        }
        let old = old.map(|(dataset, _)| dataset);
        let row = DatasetRow {
            tenant: version.tenant.clone(),
            dataset: version.dataset.clone(),
            owner: version.created_by.clone(),
            description: description
                .or_else(|| old.map(|row| row.description.clone()))
                .unwrap_or_default(),
            latest: old.map_or(0, |row| row.latest) + 1,
            created_at: old.map_or(cx.now, |row| row.created_at),
        };
        version.number = row.latest;
        version.created_at = cx.now;
        self.datasets
            .insert(key, (row.clone(), Some(version.clone())));
        let data = json!({
            "dataset": row.dataset,
            "version": version.number,
            "digest": version.blob.digest,
            "size": version.blob.size,
            "principal": version.created_by,
        });
        let subject = format!("dataset/{}", row.dataset);
        self.event(cx, &row.tenant.clone(), "dataset.put", subject, None, data);
        Self::change(cx, Change::Dataset(row));
        Self::change(cx, Change::DatasetVersion(version.clone()));
        Ok(Reply::Dataset {
            version,
            created: true,
        })
    }

    pub(crate) fn pool_put(
        &mut self,
        key: (TenantId, PoolName),
        slots: u32,
        description: Option<String>,
        principal: &PrincipalName,
        cx: &mut Cx<'_>,
    ) -> Reply {
        let old = self.pools.get(&key);
        let row = PoolRow {
            tenant: key.0.clone(),
            pool: key.1.clone(),
            slots,
            description: description
                .or_else(|| old.map(|row| row.description.clone()))
                .unwrap_or_default(),
            updated_at: cx.now,
        };
        self.pools.insert(key.clone(), row.clone());
        Self::change(cx, Change::Pool(row.clone()));
        let data = json!({ "pool": row.pool, "slots": slots, "principal": principal });
        self.event(
            cx,
            &row.tenant,
            "pool.set",
            format!("pool/{}", row.pool),
            None,
            data,
        );
        self.wake(&Permit::Pool(key.0, key.1));
        Reply::Pool(row)
    }

    pub(crate) fn token_put(&mut self, row: TokenRow, cx: &mut Cx<'_>) -> Reply {
        let kind = if row.revoked_at.is_some() {
            "token.revoked"
        } else {
            "token.created"
        };
        let data = json!({ "principal": row.principal, "role": row.role });
        self.event(
            cx,
            &row.tenant.clone(),
            kind,
            row.token.to_string(),
            None,
            data,
        );
        Self::change(cx, Change::Token(row));
        Reply::Done
    }
}
