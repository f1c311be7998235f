//! From a request to its answer: authentication, permissions, parameters,
//! faults, the call, and what the backend does for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::message::{Data, empty, failed, succeeded};
use super::{Call, Engine, Event, Outcome, Params, Reply, Request, authenticate, permission};
use crate::calls::{self, Handler};
use crate::fail::Fail;
use crate::faults::Effect;
use crate::machine::AgentError;
use crate::requests::RequestRecord;
use crate::schema::{Permission, Table, Version, check};
use crate::tasks::TaskFault;
use crate::world::World;
use crate::world::access::Caller;

/// What faults change about one call.
#[derive(Default)]
struct Twist {
    lock_timeout: bool,
    task: Option<TaskFault>,
    before: Vec<Effect>,
}

impl Twist {
    fn add(&mut self, effect: &Effect) {
        match effect {
            Effect::LockTimeout => self.lock_timeout = true,
            Effect::TaskFails(text) => self.task = Some(TaskFault::FailBefore(text.clone())),
            Effect::TaskFailsPartly(text) => self.task = Some(TaskFault::FailPartly(text.clone())),
            Effect::TaskFailsAfterEffect(text) => {
                self.task = Some(TaskFault::FailAfter(text.clone()));
            }
            Effect::TaskVanishes { done } => self.task = Some(TaskFault::Vanish { done: *done }),
            Effect::TaskOkEarly(after) => self.task = Some(TaskFault::Early(*after)),
            Effect::ForeignGuest { .. } | Effect::Change(_) => self.before.push(effect.clone()),
            // Decided before the call is carried out.
            Effect::Delay(_)
            | Effect::Refuse { .. }
            | Effect::Drop
            | Effect::LoseReply
            | Effect::Later { .. }
            | Effect::Gateway { .. } => {}
        }
    }
}

/// Members of an answer beside `data`.
type Beside = Vec<(&'static str, Value)>;

/// What a call came to.
struct Answer {
    result: Result<(Data, Beside), Fail>,
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

impl Answer {
    fn reply(&self, request: &Request, version: Version) -> Reply {
        match &self.result {
            Ok((data, beside)) => succeeded(data, beside, self.relayed, request.extjs),
            // Proxmox calls the body JSON, and there is none (recorded).
            Err(fail) if fail.text.is_empty() => {
                Reply { status: fail.status, reason: "Bad Request".into(), json: true, ..empty(0) }
            }
            Err(fail) if self.empty => Reply { reason: fail.text.clone(), ..empty(fail.status) },
            Err(fail) => failed(fail, request, self.relayed, version),
        }
    }
}

impl Engine {
    /// Answers a request.
    pub async fn handle(self: &Arc<Self>, mut request: Request) -> Outcome {
        let effects = self.plan().take(&request.method, &request.path);
        request.sequence = self.record(&request, !effects.is_empty(), None);
        let sequence = request.sequence;
        let (answer, outcome) = oneshot::channel();
        // A client that hangs up does not stop what it has asked for.
        let engine = self.clone();
        tokio::spawn(async move { engine.proceed(request, effects, answer).await });
        let outcome = outcome.await.unwrap_or(Outcome::Drop);
        if let Some(record) = self.log().get_mut(sequence)
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
        let (answer, mut outcome) = oneshot::channel();
        self.proceed(request, effects, answer).await;
        if let (Some(record), Ok(Outcome::Reply(reply))) =
            (self.log().get_mut(sequence), outcome.try_recv())
        {
            record.status = Some(reply.status);
            record.reason = reply.reason;
        }
    }

    /// Applies the faults of a request, then carries it out. The outcome goes
    /// through `answer`; nothing in here waits for an event.
    pub async fn proceed(
        self: &Arc<Self>,
        request: Request,
        effects: Vec<Effect>,
        answer: oneshot::Sender<Outcome>,
    ) {
        let mut twist = Twist::default();
        let mut outcome = None;
        let mut passed = Vec::new();
        let mut rest = effects.into_iter();
        while let Some(effect) = rest.next() {
            match &effect {
                Effect::Delay(after) => {
                    passed.extend(rest);
                    self.schedule(*after, Event::Resume(Box::new(request), passed, answer));
                    return;
                }
                Effect::Later { after, answers_596 } => {
                    passed.extend(rest);
                    let now = if *answers_596 { Outcome::Reply(empty(596)) } else { Outcome::Drop };
                    let _ = answer.send(now);
                    self.schedule(*after, Event::Late(Box::new(request), passed));
                    return;
                }
                Effect::Refuse { status, text } => {
                    let _ = answer.send(Outcome::Reply(failed(
                        &Fail::with(*status, text),
                        &request,
                        false,
                        self.version,
                    )));
                    return;
                }
                Effect::Drop => {
                    let _ = answer.send(Outcome::Drop);
                    return;
                }
                Effect::Gateway { status, done: false } => {
                    let _ = answer.send(Outcome::Reply(empty(*status)));
                    return;
                }
                Effect::Gateway { status, done: true } => {
                    outcome = Some(Outcome::Reply(empty(*status)))
                }
                Effect::LoseReply => outcome = Some(Outcome::Drop),
                other => twist.add(other),
            }
            passed.push(effect);
        }
        let result = self.execute(&request, twist).await;
        if let Ok((data, _)) = &result.result {
            self.compare(&request, data);
        }
        if let Some(record) = self.log().get_mut(request.sequence) {
            record.effect = request.method != "GET" && result.result.is_ok();
            record.caller.clone_from(&result.caller);
        }
        let outcome =
            outcome.unwrap_or_else(|| Outcome::Reply(result.reply(&request, self.version)));
        if result.delay.is_zero() {
            let _ = answer.send(outcome);
        } else {
            self.schedule(result.delay, Event::Deliver(outcome, answer));
        }
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
                let text = self.world().lock_text(vmid);
                if !calls::fails_in_task(&method.verb, &method.path) {
                    return Answer::fail(Fail::new(text), Some(&caller));
                }
                twist.task = Some(TaskFault::FailBefore(text));
            }
        }
        let result = match handler {
            Handler::Plain(run) => self.run_plain(run, request, &params, &caller, twist.task).await,
            Handler::Agent(run) => self.run_agent(run, &params).await,
            Handler::Index(table, method) => {
                Ok((calls::index::list(table, method).into(), Vec::new()))
            }
            Handler::Written(write) => {
                write(&self.world(), &params, &caller).map(|text| (Data::Written(text), Vec::new()))
            }
        };
        let is_failed_login = is_login && result.as_ref().is_err_and(|fail| fail.status == 401);
        Answer {
            relayed: method.protected,
            delay: if is_failed_login { self.auth_delay } else { Duration::ZERO },
            empty: result.as_ref().is_err_and(|fail| fail.status >= 590),
            result,
            caller: Some(caller.id()),
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
            Err(_) if is_login || needs_no_login(request) => {
                Caller { user: String::new(), token: None }
            }
            Err(reason) => {
                let mut answer = Answer::fail(Fail::with(401, reason), None);
                answer.delay = self.auth_delay;
                answer.empty = true;
                return Err(Box::new(answer));
            }
        };
        for effect in before {
            if let Effect::Change(change) = effect {
                world.change(change);
            }
        }
        let checked = self.check(&world, request, &caller);
        let (method, handler, params) = checked.map_err(|fail| {
            let empty = fail.status >= 590;
            let relayed = is_protected(&world, request);
            Box::new(Answer { empty, relayed, ..Answer::fail(fail, Some(&caller)) })
        })?;
        for effect in before {
            foreign_guest(&mut world, effect, &params);
        }
        if writes && !world.quorate && !is_login && !method.path.contains("/agent/") {
            return Err(Box::new(Answer::fail(
                Fail::new("cluster not ready - no quorum?"),
                Some(&caller),
            )));
        }
        Ok((method, handler, params, caller))
    }

    /// The checks in Proxmox's order: method, token, path parameters,
    /// permission, node, parameters.
    fn check(
        &self,
        world: &World,
        request: &Request,
        caller: &Caller,
    ) -> Result<(&'static crate::schema::Method, Handler, Params), Fail> {
        let table = Table::of(world.version);
        let found = table.find(&request.method, &request.path);
        let (index, from_path) = found.ok_or_else(|| not_implemented(request))?;
        let method = &table.methods[index];
        let handler = calls::handler_of(table, method);
        let handler = handler.ok_or_else(|| not_simulated(method))?;
        if !method.allow_token && caller.token.is_some() {
            let uri = &request.path;
            let what = format!("URI '{uri}' not available with API token, need proper ticket.\n");
            return Err(Fail::denied(what));
        }
        let mut given = request.parameters.clone();
        if world.version < Version::V8_4 {
            join_repeated(method, &mut given);
        }
        for (name, value) in from_path {
            let same = |other: &Value| check::scalar(other).as_deref() == Some(value.as_str());
            if !given.get(&name).is_none_or(same) {
                let text = "duplicate parameter (already defined in URI) with conflicting values!";
                return Err(Fail::parameter(name, text));
            }
            given.insert(name, Value::String(value));
        }
        let params = normalise(method, &given);
        if method.permission != Permission::World {
            permission::check(world, &method.permission, caller, &params.texts)?;
        }
        if method.proxied {
            self.check_node(world, params.node())?;
        }
        check::parameters(method, &given)?;
        Ok((method, handler, params))
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
    ) -> Result<(Data, Beside), Fail> {
        let (data, beside, after, ops, begins, released) = {
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
                beside: Vec::new(),
                after: None,
                durations: &self.durations,
                fault,
            };
            let data = run(&mut call)?;
            let total = call.total.map(|total| ("total", json!(total)));
            call.beside.extend(total);
            (data, call.beside, call.after, call.ops, call.begins, call.released)
        };
        let done = self.carry_out(ops).await.map_err(Fail::new)?;
        for number in begins {
            self.begin_task(number).await;
        }
        for (number, vmid) in released {
            self.release(number, Some(vmid)).await;
        }
        Ok((after.map_or(data, |after| after(&done)).into(), beside))
    }

    async fn run_agent(
        self: &Arc<Self>,
        prepare: calls::Agent,
        params: &Params,
    ) -> Result<(Data, Beside), Fail> {
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
        Ok(((call.shape)(answer?).into(), Vec::new()))
    }

    async fn ask_agent(&self, vmid: u32, command: &str, arguments: Value) -> Result<Value, Fail> {
        self.backend.agent(vmid, command, arguments).await.map_err(|error| match error {
            AgentError::NotRunning | AgentError::Timeout => {
                Fail::new("QEMU guest agent is not running")
            }
            // A text beyond ASCII kills the process that answers (fact 22).
            AgentError::Error(text) if !text.is_ascii() => Fail::with(596, "Broken pipe"),
            AgentError::Error(text) => Fail::new(format!("Agent error: {text}")),
        })
    }
}

/// Whether pvedaemon answers a request, so that even its refusals are relayed.
fn is_protected(world: &World, request: &Request) -> bool {
    let table = Table::of(world.version);
    let found = table.find(&request.method, &request.path);
    found.is_some_and(|(index, _)| table.methods[index].protected)
}

/// What pveproxy lets through without a ticket, for its log-in page.
fn needs_no_login(request: &Request) -> bool {
    matches!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/access/domains") | ("POST", "/access/openid/auth-url" | "/access/openid/login")
    )
}

fn not_implemented(request: &Request) -> Fail {
    Fail::with(501, format!("Method '{} {}' not implemented", request.method, request.asked))
}

/// The answer for a method that Proxmox has and the simulator has not.
fn not_simulated(method: &crate::schema::Method) -> Fail {
    let (verb, path) = (&method.verb, &method.path);
    tracing::warn!(%verb, %path, "a client asks for a method that is not simulated");
    Fail::with(501, format!("Method '{verb} {path}' not implemented in this simulator"))
}

fn foreign_guest(world: &mut World, effect: &Effect, params: &Params) {
    if let Effect::ForeignGuest { name, description } = effect {
        let id = params.get("newid").or_else(|| params.get("vmid"));
        if let Some(id) = id.and_then(|id| id.parse().ok()) {
            world.foreign_guest(params.node(), id, name, description.as_deref());
        }
    }
}

/// Before 8 a form key that came several times was a list in one text (recorded on 6.2).
fn join_repeated(method: &crate::schema::Method, given: &mut BTreeMap<String, Value>) {
    for (name, value) in given {
        let Value::Array(items) = value else { continue };
        if method.parameter(name).is_some_and(|parameter| parameter.kind != "array") {
            let texts: Vec<String> = items.iter().filter_map(check::scalar).collect();
            *value = Value::String(texts.join(","));
        }
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
