"""Jobs: every pod counted once, whatever happens."""

import random

import pytest

from sampan.api import errors
from sampan.client.resources import JOBS, PODS
from sampan.controllers.jobrules import FINALIZER, INDEX, format_indexes, parse_indexes

from .harness import running

NAME = "job-controller"


def job(template_spec=None, **spec):
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 6,
            "selector": {"matchLabels": {"job": "work"}},
            "template": {
                "metadata": {"labels": {"job": "work"}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "c", "image": "i"}],
                    **(template_spec or {}),
                },
            },
            **spec,
        },
        "status": {},
    }


def indexed(completions, **spec):
    return job(completions=completions, completionMode="Indexed", **{"parallelism": completions, **spec})


def active(cluster):
    return [
        one for one in cluster.api.all(PODS) if not one.get("status") and "deletionTimestamp" not in one["metadata"]
    ]


def end(cluster, pod, phase="Succeeded", exit_code=None):
    state = {}
    if exit_code is not None or phase == "Failed":
        stamp = "2023-11-14T22:13:20Z"
        state = {"terminated": {"exitCode": exit_code or 1, "finishedAt": stamp}}
    status = {"phase": phase, "containerStatuses": [{"name": "c", "state": state}]}
    cluster.api.change(PODS, "default", pod["metadata"]["name"], lambda obj: obj.update(status=status))


def status(cluster):
    return cluster.api.get(JOBS, "default", "work")["status"]


def conditions(cluster):
    return {one["type"]: (one["status"], one.get("reason")) for one in status(cluster).get("conditions", [])}


async def tick(cluster, seconds=0.2):
    await cluster.advance(seconds)


async def run_all(cluster, phase="Succeeded"):
    for _ in range(60):
        await tick(cluster)
        pods = active(cluster)
        if not pods:
            return
        for pod in pods:
            end(cluster, pod, phase)


async def test_job_of_several_completions_ends_complete():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(completions=5, parallelism=2))
        await cluster.settled()
        pods = active(cluster)
        assert len(pods) == 2
        assert pods[0]["metadata"]["finalizers"] == [FINALIZER]
        assert status(cluster)["active"] == 2
        await run_all(cluster)
        found = status(cluster)
        assert found["succeeded"] == 5
        assert "active" not in found
        assert found["completionTime"] == found["conditions"][-1]["lastTransitionTime"]
        assert conditions(cluster) == {
            "SuccessCriteriaMet": ("True", "CompletionsReached"),
            "Complete": ("True", "CompletionsReached"),
        }
        assert all(not one["metadata"]["finalizers"] for one in cluster.api.all(PODS))
        assert ("Normal", "Completed", "Job completed") in cluster.events()


async def test_failures_back_off_and_then_fail_the_job():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(backoffLimit=1))
        await cluster.settled()
        end(cluster, active(cluster)[0], "Failed")
        await tick(cluster)
        assert active(cluster) == []
        assert status(cluster)["failed"] == 1
        await cluster.advance(11)
        assert len(active(cluster)) == 1
        end(cluster, active(cluster)[0], "Failed")
        await tick(cluster)
        assert status(cluster)["failed"] == 2
        assert conditions(cluster)["Failed"] == ("True", "BackoffLimitExceeded")
        assert ("Warning", "BackoffLimitExceeded", "Job has reached the specified backoff limit") in cluster.events()


async def test_indexed_job_names_and_counts_its_indexes():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, indexed(4))
        await cluster.settled()
        pods = {one["metadata"]["annotations"][INDEX]: one for one in active(cluster)}
        assert sorted(pods) == ["0", "1", "2", "3"]
        assert pods["2"]["spec"]["hostname"] == "work-2"
        assert pods["2"]["metadata"]["generateName"] == "work-2-"
        (variable,) = pods["2"]["spec"]["containers"][0]["env"]
        assert variable["name"] == "JOB_COMPLETION_INDEX"
        for index in ("0", "1", "2"):
            end(cluster, pods[index])
        await tick(cluster)
        assert status(cluster)["completedIndexes"] == "0-2"
        end(cluster, pods["3"], "Failed")
        await tick(cluster)
        await cluster.advance(12)
        (again,) = active(cluster)
        assert again["metadata"]["annotations"][INDEX] == "3"
        end(cluster, again)
        await tick(cluster)
        assert status(cluster)["completedIndexes"] == "0-3"
        assert conditions(cluster)["Complete"] == ("True", "CompletionsReached")


async def test_backoff_limit_per_index_fails_indexes_and_then_the_job():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, indexed(2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1))
        await cluster.settled()
        pods = {one["metadata"]["annotations"][INDEX]: one for one in active(cluster)}
        end(cluster, pods["0"])
        end(cluster, pods["1"], "Failed")
        await tick(cluster)
        await cluster.advance(12)
        (again,) = active(cluster)
        assert again["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
        end(cluster, again, "Failed")
        await tick(cluster)
        found = status(cluster)
        assert (found["completedIndexes"], found["failedIndexes"]) == ("0", "1")
        assert conditions(cluster)["Failed"] == ("True", "FailedIndexes")
        assert (found["succeeded"], found["failed"]) == (1, 2)


@pytest.mark.parametrize(
    ("action", "expected"),
    [("FailJob", ("True", "PodFailurePolicy")), ("Ignore", None), ("Count", ("True", "BackoffLimitExceeded"))],
)
async def test_pod_failure_policy(action, expected):
    rule = {"action": action, "onExitCodes": {"operator": "In", "values": [42]}}
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(backoffLimit=0, podFailurePolicy={"rules": [rule]}))
        await cluster.settled()
        end(cluster, active(cluster)[0], "Failed", 42)
        await tick(cluster)
        assert conditions(cluster).get("Failed") == expected
        if action == "Ignore":
            await cluster.advance(12)
            assert len(active(cluster)) == 1
            assert "failed" not in status(cluster)


async def test_success_policy_ends_the_job_early():
    policy = {"rules": [{"succeededIndexes": "0,2-3", "succeededCount": 2}]}
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, indexed(4, successPolicy=policy))
        await cluster.settled()
        pods = {one["metadata"]["annotations"][INDEX]: one for one in active(cluster)}
        for index in ("0", "1"):
            end(cluster, pods[index])
        await tick(cluster)
        assert "Complete" not in conditions(cluster)
        end(cluster, pods["3"])
        await tick(cluster)
        await tick(cluster)
        assert conditions(cluster)["Complete"] == ("True", "SuccessPolicy")
        assert active(cluster) == []


async def test_suspended_job_stops_its_pods_and_resumes():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(parallelism=2, completions=2))
        await cluster.settled()
        cluster.api.change(JOBS, "default", "work", lambda obj: obj["spec"].update(suspend=True))
        await tick(cluster)
        assert cluster.api.all(PODS) == []
        assert conditions(cluster)["Suspended"] == ("True", "JobSuspended")
        cluster.api.change(JOBS, "default", "work", lambda obj: obj["spec"].update(suspend=False))
        await tick(cluster)
        assert conditions(cluster)["Suspended"] == ("False", "JobResumed")
        await run_all(cluster)
        assert status(cluster)["succeeded"] == 2
        assert "failed" not in status(cluster)


async def test_deadline_ends_the_job_and_counts_its_pods_as_failed():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(activeDeadlineSeconds=30))
        await cluster.settled()
        await cluster.advance(29)
        assert len(active(cluster)) == 1
        await cluster.advance(2)
        assert active(cluster) == []
        assert conditions(cluster)["Failed"] == ("True", "DeadlineExceeded")
        assert status(cluster)["failed"] == 1


async def test_work_queue_job_is_complete_after_one_success_and_the_end_of_the_others():
    async with running(NAME) as cluster:
        wanted = job(parallelism=3)
        del wanted["spec"]["completions"]
        cluster.api.add(JOBS, wanted)
        await cluster.settled()
        first, *others = active(cluster)
        end(cluster, first)
        await tick(cluster)
        assert "Complete" not in conditions(cluster)
        assert len(active(cluster)) == 2
        for pod in others:
            end(cluster, pod)
        await tick(cluster)
        assert status(cluster)["succeeded"] == 3
        assert "Complete" in conditions(cluster)


async def test_pods_lose_their_finalizer_when_the_job_is_gone():
    async with running(NAME, "garbage-collector-controller") as cluster:
        cluster.api.add(JOBS, job())
        await cluster.settled()
        cluster.api.remove(JOBS, "default", "work")
        await cluster.advance(1)
        assert cluster.api.all(PODS) == []


async def test_job_of_another_manager_is_left_alone():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(managedBy="example.com/other"))
        await cluster.settled()
        assert cluster.api.all(PODS) == []


async def test_restarting_containers_count_against_the_limit():
    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job({"restartPolicy": "OnFailure"}, backoffLimit=3))
        await cluster.settled()
        pod = active(cluster)[0]
        state = {"phase": "Running", "containerStatuses": [{"name": "c", "restartCount": 3}]}
        cluster.api.change(PODS, "default", pod["metadata"]["name"], lambda obj: obj.update(status=state))
        await tick(cluster)
        assert conditions(cluster)["Failed"] == ("True", "BackoffLimitExceeded")


async def test_nothing_is_counted_twice_though_writes_fail_at_random():
    rng = random.Random(5)

    def flaky(request):
        if request.verb in ("patch", "update", "create") and request.resource in (PODS, JOBS) and rng.random() < 0.2:
            raise errors.ServiceUnavailable("now and then")

    async with running(NAME) as cluster:
        cluster.api.add(JOBS, job(completions=40, parallelism=8))
        cluster.api.react = flaky
        for _ in range(400):
            await cluster.clock.advance(0.2)
            for pod in active(cluster):
                if rng.random() < 0.7:
                    end(cluster, pod)
            if rng.random() < 0.1:
                cluster.api.disconnect()
            if "Complete" in conditions(cluster):
                break
        cluster.api.react = lambda _: None
        await cluster.advance(30)
        assert "Complete" in conditions(cluster)
        succeeded = [one for one in cluster.api.all(PODS) if one["status"]["phase"] == "Succeeded"]
        assert status(cluster)["succeeded"] == len(succeeded) == 40
        assert not status(cluster)["uncountedTerminatedPods"].get("succeeded")


@pytest.mark.parametrize(("indexes", "text"), [(set(), ""), ({3}, "3"), ({0, 1}, "0,1"), ({1, 3, 4, 5, 9}, "1,3-5,9")])
def test_indexes_are_written_as_ranges(indexes, text):
    assert format_indexes(indexes) == text
    assert parse_indexes(text, 100) == indexes
