"""CronJobs and their schedules."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from sampan.client.resources import CRONJOBS, JOBS
from sampan.controllers import cronschedule

from .harness import running

NAME = "cronjob-controller"
START = 1_700_000_000  # 2023-11-14T22:13:20Z, a Tuesday


def cron_job(schedule="* * * * *", **spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": {"containers": []}}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "default"},
        "spec": {"schedule": schedule, "concurrencyPolicy": "Allow", "jobTemplate": template, **spec},
        "status": {},
    }


def names(cluster):
    return [one["metadata"]["name"] for one in cluster.api.all(JOBS)]


def finish(cluster, name, type_="Complete"):
    stamp = datetime.fromtimestamp(cluster.clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {
        "startTime": stamp,
        "completionTime": stamp,
        "conditions": [{"type": type_, "status": "True", "lastTransitionTime": stamp}],
    }
    cluster.api.change(JOBS, "default", name, lambda obj: obj.update(status=status))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/15 * * * *", "2023-11-14T22:15"),
        ("0 0 * * *", "2023-11-15T00:00"),
        ("30 8-10/2 * * mon-fri", "2023-11-15T08:30"),
        ("0 0 1 jan ?", "2024-01-01T00:00"),
        ("0 0 13 * fri", "2023-11-17T00:00"),
        ("0 0 29 2 *", "2024-02-29T00:00"),
        ("@hourly", "2023-11-14T23:00"),
        ("5,10 22 * * *", "2023-11-15T22:05"),
    ],
)
def test_next_time(schedule, expected):
    found = cronschedule.parse(schedule).next(START)
    assert datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%dT%H:%M") == expected


def test_time_zones_and_clock_changes():
    zone = ZoneInfo("Europe/Berlin")
    daily = cronschedule.parse("30 2 * * *")
    before_change = datetime(2023, 3, 25, 12, tzinfo=zone).timestamp()
    found = datetime.fromtimestamp(daily.next(before_change, zone), zone)
    assert found == datetime(2023, 3, 27, 2, 30, tzinfo=zone)
    assert cronschedule.parse("@every 90s").next(START) == START + 90


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "@never"])
def test_bad_schedules(text):
    with pytest.raises(ValueError, match=r"."):
        cronschedule.parse(text)


async def test_a_job_a_minute_named_after_its_time():
    async with running(NAME) as cluster:
        cluster.api.add(CRONJOBS, cron_job())
        await cluster.settled()
        assert names(cluster) == []
        await cluster.advance(41)
        (job,) = cluster.api.all(JOBS)
        assert job["metadata"]["name"] == f"tick-{(START + 40) // 60}"
        assert (
            job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2023-11-14T22:14:00Z"
        )
        status = cluster.api.get(CRONJOBS, "default", "tick")["status"]
        assert status["lastScheduleTime"] == "2023-11-14T22:14:00Z"
        assert [one["name"] for one in status["active"]] == names(cluster)
        await cluster.advance(60)
        assert len(names(cluster)) == 2


@pytest.mark.parametrize(("policy", "count"), [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
async def test_concurrency_policy(policy, count):
    async with running(NAME) as cluster:
        cluster.api.add(CRONJOBS, cron_job(concurrencyPolicy=policy))
        await cluster.advance(41)
        first = names(cluster)
        await cluster.advance(60)
        assert len(names(cluster)) == count
        assert (names(cluster) == first) == (policy == "Forbid")


async def test_finished_jobs_are_noted_and_the_oldest_deleted():
    async with running(NAME) as cluster:
        cluster.api.add(CRONJOBS, cron_job(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0))
        for type_ in ("Complete", "Failed", "Complete"):
            await cluster.advance(60)
            running_jobs = [one for one in cluster.api.all(JOBS) if not one.get("status")]
            finish(cluster, running_jobs[0]["metadata"]["name"], type_)
            await cluster.settled()
        assert len(names(cluster)) == 1
        status = cluster.api.get(CRONJOBS, "default", "tick")["status"]
        assert "active" not in status
        assert status["lastSuccessfulTime"] == "2023-11-14T22:16:20Z"


async def test_missed_times_start_one_job_and_a_passed_deadline_none():
    async with running(NAME) as cluster:
        cluster.api.add(CRONJOBS, cron_job(suspend=True))
        await cluster.advance(600)
        assert names(cluster) == []
        cluster.api.change(CRONJOBS, "default", "tick", lambda obj: obj["spec"].update(suspend=False))
        await cluster.settled()
        assert len(names(cluster)) == 1
        late = cron_job("0 0 1 1 *", startingDeadlineSeconds=5)
        late["metadata"].update(name="late", creationTimestamp="2022-11-14T22:13:20Z")
        cluster.api.add(CRONJOBS, late)
        await cluster.settled()
        assert len(names(cluster)) == 1


async def test_bad_schedule_and_zone_are_reported():
    async with running(NAME) as cluster:
        cluster.api.add(CRONJOBS, cron_job("nonsense"))
        zoned = cron_job(timeZone="No/Where")
        zoned["metadata"]["name"] = "zoned"
        cluster.api.add(CRONJOBS, zoned)
        await cluster.settled()
        assert {event[1] for event in cluster.events()} == {"UnparseableCronJobSchedule", "UnknownTimeZone"}
