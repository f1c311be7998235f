//! From a request to its answer: authentication, permissions, parameters,
//! faults, the call, and what the backend does for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Engine, Event, authenticate, lock_text, permission};
use crate::calls::{self, Handler};
use crate::fail::Fail;
use crate::faults::Effect;
use crate::machine::AgentError;
use crate::requests::RequestRecord;
use crate::schema::{Permission, Table, check};
use crate::tasks::{Op, TaskDurations, TaskFault, Upid, Work};
use crate::world::World;
use crate::world::access::Caller;

/// What a client sent to prove who it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials {
    pub ticket: Option<String>,
    pub csrf: Option<String>,
    pub token: Option<String>,
}

/// A file that came with a request.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub filename: String,
    pub size: u64,
    pub sha256: String,
}

/// A decoded request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub method: String,
    /// Below `/api2/json`, decoded, without repeated slashes.
    pub path: String,
    pub extjs: bool,
    pub parameters: BTreeMap<String, Value>,
    pub credentials: Credentials,
    pub upload: Option<Upload>,
    /// Its number in the request log.
    pub sequence: u64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub status: u16,
    pub reason: String,
    pub body: Vec<u8>,
    pub json: bool,
    /// Whether pvedaemon answered and pveproxy passed it on.
    pub relayed: bool,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Reply(Reply),
    Drop,
}

/// Checked parameters: texts, and lists where the schema says array.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    pub texts: BTreeMap<String, String>,
    pub lists: BTreeMap<String, Vec<String>>,
}

impl Params {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// A parameter that the schema requires; empty when it is absent all the same.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|text| text.parse().ok())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    pub fn vmid(&self) -> u32 {
        self.get("vmid").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn node(&self) -> &str {
        self.text("node")
    }
}

/// One call while it is carried out.
pub(crate) struct Call<'a> {
    pub world: &'a mut World,
    pub params: &'a Params,
    pub caller: &'a Caller,
    pub upload: Option<&'a Upload>,
    /// What the backend does before the answer.
    pub ops: Vec<Op>,
    /// Tasks that begin when the call is done.
    pub begins: Vec<u64>,
    /// Tasks that the call has ended: their lock files are given back.
    pub released: Vec<(u64, u32)>,
    /// The `total` beside `data`.
    pub total: Option<usize>,
    durations: &'a TaskDurations,
    fault: Option<TaskFault>,
}

impl Call<'_> {
    /// Starts a task on the call's node and answers its id.
    pub fn task(&mut self, kind: &str, id: &str, work: impl Work + 'static) -> Value {
        let node = self.params.node().to_owned();
        let pid = self.world.tasks.next_pid();
        let now = self.world.now;
        let upid = Upid {
            node,
            pid,
            pstart: u64::try_from(now.saturating_sub(self.world.booted).as_millis() / 10)
                .unwrap_or(0),
            start: now.as_secs(),
            kind: kind.into(),
            id: id.into(),
            user: self.caller.id(),
        };
        let text = upid.text();
        let number =
            self.world.tasks.add(upid, Box::new(work), self.durations.of(kind), self.fault.take());
        self.begins.push(number);
        json!(text)
    }

    /// Requires a privilege on a path.
    pub fn require(&self, path: &str, privilege: &str) -> Result<(), Fail> {
        if self.caller.is_root() {
            return Ok(());
        }
        permission::require(self.world, self.caller, path, &[privilege], false)
    }

    /// Whether the caller has a privilege on a path.
    pub fn may(&self, path: &str, privilege: &str) -> bool {
        self.world.may(self.caller, path, privilege)
    }
}

/// What faults change about one call.
#[derive(Default)]
struct Twist {
    lock_timeout: bool,
    task: Option<TaskFault>,
    before: Vec<Effect>,
}

/// What a call came to.
struct Answer {
    result: Result<(Value, Option<usize>), Fail>,
    relayed: bool,
    caller: Option<String>,
    /// Held back for this long (401).
    delay: Duration,
    empty: bool,
}

impl Answer {
    fn fail(fail: Fail, caller: Option<&Caller>) -> Self {
        Self {
            result: Err(fail),
            relayed: false,
            caller: caller.map(Caller::id),
            delay: Duration::ZERO,
            empty: false,
        }
    }
}

impl Engine {
    /// Answers a request.
    pub async fn handle(self: &Arc<Self>, mut request: Request) -> Outcome {
        let effects = self.plan().take(&request.method, &request.path);
        request.sequence = self.record(&request, !effects.is_empty(), None);
        let outcome = self.proceed(request.clone(), effects).await;
        if let Some(record) = self.log().get_mut(request.sequence)
            && let Outcome::Reply(reply) = &outcome
        {
            record.status = Some(reply.status);
            record.reason.clone_from(&reply.reason);
        }
        outcome
    }

    /// Adds an entry to the request log.
    pub fn record(&self, request: &Request, faulty: bool, late_of: Option<u64>) -> u64 {
        let mut parameters = request.parameters.clone();
        for (name, value) in &mut parameters {
            if name.contains("password") {
                *value = json!("********");
            }
        }
        self.log().add(RequestRecord {
            sequence: 0,
            at: self.clock.now(),
            method: request.method.clone(),
            path: request.path.clone(),
            parameters: json!(parameters),
            caller: None,
            status: None,
            reason: String::new(),
            effect: false,
            faulty,
            late_of,
        })
    }

    /// Carries out a request whose answer was given long ago.
    pub async fn late(self: &Arc<Self>, mut request: Request, effects: Vec<Effect>) {
        request.sequence = self.record(&request, true, Some(request.sequence));
        let sequence = request.sequence;
        let outcome = Box::pin(self.proceed(request, effects)).await;
        if let (Some(record), Outcome::Reply(reply)) = (self.log().get_mut(sequence), &outcome) {
            record.status = Some(reply.status);
            record.reason.clone_from(&reply.reason);
        }
    }

    /// Applies the faults of a request, then carries it out.
    pub async fn proceed(self: &Arc<Self>, request: Request, effects: Vec<Effect>) -> Outcome {
        let mut twist = Twist::default();
        let mut lose = false;
        let mut gateway = None;
        let mut passed = Vec::new();
        let mut rest = effects.into_iter();
        while let Some(effect) = rest.next() {
            passed.push(effect.clone());
            match effect {
                Effect::Delay(after) => {
                    let (answer, outcome) = oneshot::channel();
                    passed.pop();
                    passed.extend(rest);
                    self.schedule(after, Event::Resume(Box::new(request), passed, answer));
                    return outcome.await.unwrap_or(Outcome::Drop);
                }
                Effect::Refuse { status, text } => {
                    return Outcome::Reply(failed(&Fail::with(status, text), &request));
                }
                Effect::Drop => return Outcome::Drop,
                Effect::LoseReply => lose = true,
                Effect::Later { after, answers_596 } => {
                    passed.pop();
                    passed.extend(rest);
                    self.schedule(after, Event::Late(Box::new(request), passed));
                    return if answers_596 { Outcome::Reply(empty(596)) } else { Outcome::Drop };
                }
                Effect::Gateway { status, done: false } => return Outcome::Reply(empty(status)),
                Effect::Gateway { status, done: true } => gateway = Some(status),
                Effect::LockTimeout => twist.lock_timeout = true,
                Effect::TaskFails(text) => twist.task = Some(TaskFault::FailBefore(text)),
                Effect::TaskFailsPartly(text) => twist.task = Some(TaskFault::FailPartly(text)),
                Effect::TaskFailsAfterEffect(text) => twist.task = Some(TaskFault::FailAfter(text)),
                Effect::TaskVanishes { done } => twist.task = Some(TaskFault::Vanish { done }),
                Effect::TaskOkEarly(after) => twist.task = Some(TaskFault::Early(after)),
                effect @ (Effect::ForeignGuest { .. } | Effect::Change(_)) => {
                    twist.before.push(effect)
                }
            }
        }
        let answer = self.execute(&request, twist).await;
        if let Some(record) = self.log().get_mut(request.sequence) {
            record.effect = request.method != "GET" && answer.result.is_ok();
            record.caller.clone_from(&answer.caller);
        }
        if lose {
            return Outcome::Drop;
        }
        if let Some(status) = gateway {
            return Outcome::Reply(empty(status));
        }
        let reply = match &answer.result {
            Ok((data, total)) => succeeded(data, *total, answer.relayed, request.extjs),
            Err(fail) if answer.empty => Reply { reason: fail.text.clone(), ..empty(fail.status) },
            Err(fail) => failed(fail, &request),
        };
        if !answer.delay.is_zero() {
            let (sender, outcome) = oneshot::channel();
            self.schedule(answer.delay, Event::Deliver(Outcome::Reply(reply), sender));
            return outcome.await.unwrap_or(Outcome::Drop);
        }
        Outcome::Reply(reply)
    }

    async fn execute(self: &Arc<Self>, request: &Request, mut twist: Twist) -> Answer {
        let writes = request.method != "GET";
        let is_login = request.path == "/access/ticket";
        let prepared = self.prepare(request, &twist.before, writes, is_login);
        let (method, handler, params, caller) = match prepared {
            Ok(prepared) => prepared,
            Err(answer) => return *answer,
        };
        let vmid = params.get("vmid").and_then(|vmid| vmid.parse::<u32>().ok());
        if let Some(vmid) = vmid {
            self.reap(vmid).await;
            if calls::waits_for_lock(&method.verb, &method.path)
                && let Err(fail) = self.await_flock(vmid).await
            {
                return Answer::fail(fail, Some(&caller));
            }
            if twist.lock_timeout {
                if !calls::fails_in_task(&method.verb, &method.path) {
                    return Answer::fail(Fail::new(lock_text(vmid)), Some(&caller));
                }
                twist.task = Some(TaskFault::FailBefore(lock_text(vmid)));
            }
        }
        let result = match handler {
            Handler::Plain(run) => self.run_plain(run, request, &params, &caller, twist.task).await,
            Handler::Agent(run) => self.run_agent(run, &params).await,
        };
        let is_failed_login = is_login && result.as_ref().is_err_and(|fail| fail.status == 401);
        Answer {
            relayed: method.protected && result.is_ok(),
            delay: if is_failed_login { self.auth_delay } else { Duration::ZERO },
            result,
            caller: Some(caller.id()),
            empty: false,
        }
    }

    /// Everything that is checked before a call is carried out.
    #[allow(clippy::type_complexity, reason = "used once, right above")]
    fn prepare(
        &self,
        request: &Request,
        before: &[Effect],
        writes: bool,
        is_login: bool,
    ) -> Result<(&'static crate::schema::Method, Handler, Params, Caller), Box<Answer>> {
        let mut world = self.world();
        let is_upload = request.path.ends_with("/upload");
        let caller = match authenticate::caller(
            &world,
            &request.credentials,
            writes && !is_login,
            is_upload,
        ) {
            Ok(caller) => caller,
            Err(_) if is_login => Caller { user: String::new(), token: None },
            Err(reason) => {
                let mut answer = Answer::fail(Fail::with(401, reason), None);
                answer.delay = self.auth_delay;
                answer.empty = true;
                return Err(Box::new(answer));
            }
        };
        let checked = (|| {
            let table = Table::of(world.version);
            let found = table.find(&request.method, &request.path);
            let (index, from_path) = found.ok_or_else(|| not_implemented(request))?;
            let method = &table.methods[index];
            let handler = calls::handler(&method.verb, &method.path)
                .ok_or_else(|| not_implemented(request))?;
            if !method.allow_token && caller.token.is_some() {
                let what = format!(
                    "URI '{}' not available with API token, need proper ticket.\n",
                    request.path
                );
                return Err(Fail::denied(what));
            }
            let mut given = request.parameters.clone();
            for (name, value) in from_path {
                let same = given
                    .get(&name)
                    .is_none_or(|other| check::scalar(other).as_deref() == Some(value.as_str()));
                if !same {
                    let text =
                        "duplicate parameter (already defined in URI) with conflicting values!";
                    return Err(Fail::parameter(name, text));
                }
                given.insert(name, Value::String(value));
            }
            let params = normalise(method, &given);
            if method.permission != Permission::World {
                permission::check(&world, &method.permission, &caller, &params.texts)?;
            }
            if method.proxied {
                self.check_node(&world, params.node())?;
            }
            check::parameters(method, &given)?;
            Ok((method, handler, params))
        })();
        let (method, handler, params) = checked.map_err(|fail| {
            Box::new(Answer { empty: fail.status >= 590, ..Answer::fail(fail, Some(&caller)) })
        })?;
        for effect in before {
            apply_before(&mut world, effect, &params);
        }
        if writes && !world.quorate && !is_login && !method.path.contains("/agent/") {
            return Err(Box::new(Answer::fail(
                Fail::new("cluster not ready - no quorum?"),
                Some(&caller),
            )));
        }
        Ok((method, handler, params, caller))
    }

    fn check_node(&self, world: &World, name: &str) -> Result<(), Fail> {
        match world.nodes.get(name) {
            None => Err(Fail::new(format!(
                "hostname lookup '{name}' failed - failed to get address info for: {name}: Temporary failure in name resolution"
            ))),
            Some(node) if !node.online => Err(Fail::with(595, "No route to host")),
            Some(_) => Ok(()),
        }
    }

    async fn run_plain(
        self: &Arc<Self>,
        run: calls::Plain,
        request: &Request,
        params: &Params,
        caller: &Caller,
        fault: Option<TaskFault>,
    ) -> Result<(Value, Option<usize>), Fail> {
        let (data, total, ops, begins, released) = {
            let mut world = self.world();
            let mut call = Call {
                world: &mut world,
                params,
                caller,
                upload: request.upload.as_ref(),
                ops: Vec::new(),
                begins: Vec::new(),
                released: Vec::new(),
                total: None,
                durations: &self.durations,
                fault,
            };
            let data = run(&mut call)?;
            (data, call.total, call.ops, call.begins, call.released)
        };
        self.carry_out(ops).await.map_err(Fail::new)?;
        for number in begins {
            self.begin_task(number).await;
        }
        for (number, vmid) in released {
            self.release(number, Some(vmid)).await;
        }
        Ok((data, total))
    }

    async fn run_agent(
        self: &Arc<Self>,
        prepare: calls::Agent,
        params: &Params,
    ) -> Result<(Value, Option<usize>), Fail> {
        let call = prepare(&mut self.world(), params)?;
        let mut arguments = call.arguments;
        let mut handle = None;
        if let Some(open) = call.open {
            let opened = self.ask_agent(call.vmid, "guest-file-open", open).await?;
            arguments["handle"] = opened.clone();
            handle = Some(opened);
        }
        let answer = self.ask_agent(call.vmid, call.command, arguments).await;
        if let Some(handle) = handle {
            self.ask_agent(call.vmid, "guest-file-close", json!({ "handle": handle })).await?;
        }
        Ok(((call.shape)(answer?), None))
    }

    async fn ask_agent(&self, vmid: u32, command: &str, arguments: Value) -> Result<Value, Fail> {
        self.backend.agent(vmid, command, arguments).await.map_err(|error| match error {
            AgentError::NotRunning | AgentError::Timeout => {
                Fail::new("QEMU guest agent is not running")
            }
            AgentError::Error(text) => Fail::new(format!("Agent error: {text}")),
        })
    }
}

fn not_implemented(request: &Request) -> Fail {
    Fail::with(501, format!("Method '{} {}' not implemented", request.method, request.path))
}

fn apply_before(world: &mut World, effect: &Effect, params: &Params) {
    match effect {
        Effect::Change(change) => world.change(change),
        Effect::ForeignGuest { name, description } => {
            let id =
                params.get("newid").or_else(|| params.get("vmid")).and_then(|id| id.parse().ok());
            if let Some(id) = id {
                world.foreign_guest(params.node(), id, name, description.as_deref());
            }
        }
        _ => {}
    }
}

fn normalise(method: &crate::schema::Method, given: &BTreeMap<String, Value>) -> Params {
    let mut params = Params::default();
    for (name, value) in given {
        let is_list = method.parameter(name).is_some_and(|parameter| parameter.kind == "array");
        let items: Vec<String> = match value {
            Value::Array(items) => items.iter().filter_map(check::scalar).collect(),
            other => check::scalar(other).into_iter().collect(),
        };
        if is_list {
            params.lists.insert(name.clone(), items);
        } else {
            params.texts.insert(name.clone(), items.join(","));
        }
    }
    params
}

/// An answer without a body, as pveproxy gives when it gives up.
fn empty(status: u16) -> Reply {
    let reason = match status {
        595 => "Connection refused",
        596 => "Connection timed out",
        599 => "Connection reset by peer",
        _ => "",
    };
    Reply { status, reason: reason.into(), body: Vec::new(), json: false, relayed: false }
}

fn succeeded(data: &Value, total: Option<usize>, relayed: bool, extjs: bool) -> Reply {
    let mut body = json!({ "data": data });
    if let Some(total) = total {
        body["total"] = json!(total);
    }
    if extjs {
        body["success"] = json!(1);
    }
    Reply {
        status: 200,
        reason: "OK".into(),
        body: body.to_string().into_bytes(),
        json: true,
        relayed,
    }
}

fn failed(fail: &Fail, request: &Request) -> Reply {
    // The texts of 501 carry no final newline, all others do (recorded).
    let newline = if fail.status == 501 { "" } else { "\n" };
    let mut body = json!({"data": null, "message": format!("{}{newline}", fail.text)});
    if !fail.errors.is_empty() {
        body["errors"] = json!(fail.errors);
    }
    let reason = fail.text.lines().next().unwrap_or_default().to_owned();
    if request.extjs {
        body["success"] = json!(0);
        body["status"] = json!(fail.status);
        return Reply {
            status: 200,
            reason: "OK".into(),
            body: body.to_string().into_bytes(),
            json: true,
            relayed: false,
        };
    }
    Reply {
        status: fail.status,
        reason,
        body: body.to_string().into_bytes(),
        json: true,
        relayed: false,
    }
}
