//! Runs workers: begin, wait for the virtual duration, effect, end.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Engine, Event, LOCK_WAIT, guard};
use crate::tasks::{Done, Op, Step, TaskFault, Work};

/// What came of the beginning of a task.
enum Begun {
    /// It waits for a lock file, or is over already.
    Nothing,
    /// The backend has something to do in the background.
    Runs(Vec<Op>),
    /// It failed at once; the lock file of this guest is free again.
    Failed(Option<u32>),
}

/// What to do with a task whose time is over.
enum Due {
    Nothing,
    /// A fault ends it: with its clean-up, or without.
    Fails(Box<dyn Work>, String),
    Abandoned(Option<u32>),
    /// Its effect happens.
    Runs(Box<dyn Work>, Option<TaskFault>, Result<Vec<Op>, String>),
}

impl Engine {
    /// Starts the worker of a task, or lets it wait for a lock file.
    pub async fn begin_task(self: &Arc<Self>, number: u64) {
        match self.try_begin(number) {
            Begun::Nothing => {}
            Begun::Runs(ops) => {
                let _ = self.carry_out(ops).await;
            }
            Begun::Failed(locked) => Box::pin(self.release(number, locked)).await,
        }
    }

    fn try_begin(&self, number: u64) -> Begun {
        let mut world = self.world();
        let now = world.now;
        let Some(task) =
            world.tasks.get_mut(number).filter(|task| !task.begun && task.is_running())
        else {
            return Begun::Nothing;
        };
        let Some(mut work) = task.work.take() else { return Begun::Nothing };
        let duration = task.duration;
        if task.fault == Some(TaskFault::Vanish { done: false }) {
            world.tasks.end(number, now, "unexpected status".into());
            return Begun::Nothing;
        }
        let locked = work.locks();
        if let Some(vmid) = locked
            && let Some(guest) = world.guests.get_mut(&vmid)
        {
            if guest.flock.is_some() {
                if let Some(task) = world.tasks.get_mut(number) {
                    task.work = Some(work);
                }
                guard(&self.waiting).entry(vmid).or_default().push_back(number);
                self.schedule(LOCK_WAIT, Event::LockTimeout(number));
                return Begun::Nothing;
            }
            guest.flock = Some(number);
        }
        let mut log = Vec::new();
        let begun = work.begin(&mut world, &mut log);
        let Some(task) = world.tasks.get_mut(number) else { return Begun::Nothing };
        task.log.append(&mut log);
        task.begun = true;
        match begun {
            Ok(ops) => {
                task.work = Some(work);
                self.schedule(duration, Event::Task(number));
                Begun::Runs(ops)
            }
            Err(text) => {
                world.tasks.end(number, now, text);
                Begun::Failed(locked)
            }
        }
    }

    /// A worker that still waits for a lock file gives up.
    pub fn lock_timeout(&self, number: u64) {
        let mut waiting = guard(&self.waiting);
        let found = waiting.iter_mut().find(|(_, queue)| queue.contains(&number));
        let Some((&vmid, queue)) = found else { return };
        queue.retain(|other| *other != number);
        drop(waiting);
        let mut world = self.world();
        let now = world.now;
        if let Some(task) = world.tasks.get_mut(number) {
            task.work = None;
        }
        let text = world.lock_text(vmid);
        world.tasks.end(number, now, text);
    }

    /// Gives a lock file back and starts the next worker that waits for it.
    pub async fn release(self: &Arc<Self>, number: u64, vmid: Option<u32>) {
        let Some(vmid) = vmid else { return };
        if let Some(guest) = self.world().guests.get_mut(&vmid)
            && guest.flock == Some(number)
        {
            guest.flock = None;
        }
        while self.world().guests.get(&vmid).is_none_or(|guest| guest.flock.is_none()) {
            let next = guard(&self.waiting).get_mut(&vmid).and_then(VecDeque::pop_front);
            let Some(next) = next else { break };
            self.begin_task(next).await;
        }
    }

    /// A worker's time is over: the effect, and the end of the task.
    pub async fn run_task(self: &Arc<Self>, number: u64) {
        let mut log = Vec::new();
        let (mut work, fault, planned) = match self.take_due_work(number, &mut log) {
            Due::Nothing => return,
            Due::Fails(work, text) => return self.fail_task(number, work, text).await,
            Due::Abandoned(locked) => return self.release(number, locked).await,
            Due::Runs(work, fault, planned) => (work, fault, planned),
        };
        let done = match planned {
            Ok(ops) => self.carry_out(ops).await,
            Err(text) => Err(text),
        };
        let ended =
            done.and_then(|done: Vec<Done>| work.finish(&mut self.world(), &mut log, &done));
        if let Some(task) = self.world().tasks.get_mut(number) {
            task.log.append(&mut log);
        }
        match ended {
            Ok(Step::Again(after)) => {
                if let Some(task) = self.world().tasks.get_mut(number) {
                    task.work = Some(work);
                }
                self.schedule(after, Event::Task(number));
            }
            Ok(Step::Done) => {
                let text = match fault {
                    Some(TaskFault::FailAfter(text)) => text,
                    _ => "OK".into(),
                };
                self.end(number, text);
                self.release(number, work.locks()).await;
            }
            Err(text) => self.fail_task(number, work, text).await,
        }
    }

    fn take_due_work(&self, number: u64, log: &mut Vec<String>) -> Due {
        let mut world = self.world();
        let now = world.now;
        let Some(task) = world.tasks.get_mut(number) else { return Due::Nothing };
        let Some(mut work) = task.work.take() else { return Due::Nothing };
        let fault = task.fault.clone();
        match &fault {
            Some(TaskFault::Early(after)) if task.is_running() => {
                task.work = Some(work);
                world.tasks.end(number, now, "OK".into());
                self.schedule(*after, Event::Task(number));
                return Due::Nothing;
            }
            Some(TaskFault::FailBefore(text)) => return Due::Fails(work, text.clone()),
            Some(TaskFault::FailPartly(text)) => {
                world.tasks.end(number, now, text.clone());
                work.abandon(&mut world);
                return Due::Abandoned(work.locks());
            }
            _ => {}
        }
        let planned = work.effects(&mut world, log);
        Due::Runs(work, fault, planned)
    }

    async fn fail_task(self: &Arc<Self>, number: u64, mut work: Box<dyn Work>, text: String) {
        let ops = work.fail(&mut self.world());
        let _ = self.carry_out(ops).await;
        self.end(number, text);
        self.release(number, work.locks()).await;
    }

    fn end(&self, number: u64, text: String) {
        let mut world = self.world();
        let now = world.now;
        world.tasks.end(number, now, text);
    }
}
