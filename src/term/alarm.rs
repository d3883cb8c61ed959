//! The alarm of the loop: wakes once, when its time has come.
//!
//! The runtime's timers are kept on a wheel of several levels, which wakes the program on each level on the way to
//! a far deadline. A program that shows a clock and nothing else is to wake once a minute, so far deadlines are the
//! kernel's where it has timers to wait on; near ones stay with the runtime.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Waits that are shorter stay with the runtime: an idle program has none.
const FAR: Duration = Duration::from_secs(1);

/// Wakes at a given time. One alarm serves one loop.
#[derive(Debug, Default)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<tokio::net::unix::pipe::Receiver>,
}

impl Alarm {
    /// An alarm of the kernel for far deadlines, where there is one; [`Alarm::default`] is the runtime's alone,
    /// which follows a paused time.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn system() -> Self {
        #[cfg(target_os = "linux")]
        {
            use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
            let timer = timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            );
            // A timer is read as a pipe is: this type's is the runtime's way to wait on a descriptor that it does not
            // know. Without a timer the runtime's own serve as well: they only wake more often.
            let timer = timer
                .ok()
                .and_then(|timer| tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(timer).ok());
            Self { timer }
        }
        #[cfg(not(target_os = "linux"))]
        Self::default()
    }

    /// Returns when the deadline has passed. It can be dropped and called again with another deadline.
    pub async fn wait_until(&self, deadline: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer {
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait >= FAR && self::linux::wait(timer, wait).await {
                return;
            }
        }
        sleep_until(deadline).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
    use tokio::net::unix::pipe::Receiver;

    /// `false`: the kernel refused.
    pub(super) async fn wait(timer: &Receiver, wait: Duration) -> bool {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            },
        };
        // Setting it forgets an earlier deadline that was not waited for.
        if timerfd_settime(timer, TimerfdTimerFlags::empty(), &value).is_err() {
            return false;
        }
        loop {
            if timer.readable().await.is_err() {
                return false;
            }
            match timer.try_read(&mut [0; 8]) {
                Ok(_) => return true,
                // Readiness that an earlier wait left behind.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn far_deadlines_are_met_again_and_again_and_a_dropped_wait_leaves_nothing_behind() {
        let alarm = Alarm::system();
        let start = Instant::now();
        tokio::select! {
            () = alarm.wait_until(start + Duration::from_secs(3600)) => panic!("much too early"),
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
        for _ in 0..2 {
            let deadline = Instant::now() + FAR;
            alarm.wait_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_kernel_it_follows_a_paused_time() {
        let deadline = Instant::now() + Duration::from_secs(3600);
        Alarm::default().wait_until(deadline).await;
        assert!(Instant::now() >= deadline);
    }
}
