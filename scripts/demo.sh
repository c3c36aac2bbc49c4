#!/usr/bin/env bash
# The first application, end to end: every command is printed, then run, and its real output shown.
# Ends with the cluster left running. Safe to repeat: what an earlier run made is removed first.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
type_() { printf '\033[32m$ %s\033[0m\n' "$*"; eval "$@"; }
# wait until a command succeeds, for at most 60 s; what it waits for is said, not typed
until_() { local end=$((SECONDS + 60)); until eval "$1" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "gave up waiting: $2" >&2; exit 1; }; sleep 0.1; done; }

bold "1. A cluster on this machine"
type_ sampan up
type_ 'eval "$(sampan env --shim)"'
kubectl delete service kubia-http --ignore-not-found >/dev/null
kubectl delete replicationcontroller kubia --ignore-not-found >/dev/null
until_ '[ -z "$(kubectl get pods -l run=kubia -o name)" ]' "the last run's pods to end"
type_ kubectl get nodes

bold "2. An image, built and pushed to the local registry"
type_ sampan image build -t localhost:5000/kubia examples/kubia
type_ sampan image push localhost:5000/kubia

bold "3. Run it: a ReplicationController with one pod"
type_ kubectl run kubia --image=localhost:5000/kubia --port=8080 --generator=run/v1
until_ 'kubectl get pods -l run=kubia | grep -q 1/1' "the pod to be ready"

bold "4. Look at it"
type_ kubectl get pods
pod=$(kubectl get pods -l run=kubia -o 'jsonpath={.items[0].metadata.name}')
type_ kubectl describe pod "$pod"

bold "5. Expose it"
type_ kubectl expose rc kubia --type=LoadBalancer --name kubia-http
type_ kubectl get services
until_ '[ -n "$(kubectl get service kubia-http -o "jsonpath={.status.loadBalancer.ingress[0].ip}")" ]' "an external address"
address=$(kubectl get service kubia-http -o 'jsonpath={.status.loadBalancer.ingress[0].ip}')
until_ "curl -sf -m 2 http://$address:8080" "the service to answer"
type_ curl -s "http://$address:8080"

bold "6. Scale it"
type_ kubectl get replicationcontrollers
type_ kubectl scale rc kubia --replicas=3
until_ '[ "$(kubectl get rc kubia -o "jsonpath={.status.readyReplicas}")" = 3 ]' "three ready pods"
type_ kubectl get rc
type_ kubectl get pods -o wide
type_ "for i in 1 2 3 4 5 6; do curl -s http://$address:8080; done"

bold "7. Watch it heal"
type_ kubectl delete pod "$pod"
until_ '[ "$(kubectl get rc kubia -o "jsonpath={.status.readyReplicas}")" = 3 ]' "the replacement"
type_ kubectl get pods
type_ kubectl logs -l run=kubia --tail=2
type_ curl -s "http://$address:8080"

bold "The cluster is left running"
cat <<END
  use it:    eval "\$(.venv/bin/sampan env)"      then kubectl get all -A
  next:      kubectl exec -it <pod> -- /bin/busybox sh
             kubectl port-forward service/kubia-http 8080:8080
             sampan token create                 joins another machine (docs/tutorial.md)
  stop:      make down                           (its data is kept; sampan down --purge removes it)
END
