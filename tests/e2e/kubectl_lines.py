"""The command lines that real kubectl and sampan's must answer alike.

A line may be followed by ``##`` and a line that undoes it, run by real kubectl after each of the two. {manifest} is a
file with one ConfigMap.
"""

READS = r"""
get all
get pods -o wide
get pods -A
get po,svc
get pod/web svc/lb
get pod web
get pod web nosuch
get pods nosuch1 nosuch2
get pod web -o yaml
get pod web -o json
get svc lb -o yaml
get pods -o name
get pods -o yaml
get deploy,rc -o name
get all -o name
get pods --show-labels
get pods -L app,tier
get pods --show-kind
get pods -l app=web
get pods -l app=none
get nodes
get nodes -o wide
get pods -n nothere
get pods --no-headers
get pods --sort-by=.metadata.name
get pods --sort-by=.metadata.creationTimestamp -o name
get pods -o jsonpath={.items[*].metadata.name}
get pods -o 'jsonpath={range .items[*]}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}'
get pod web -o jsonpath={.status.podIP}
get pod web -o jsonpath={.nothing}
get pod web -o jsonpath={.metadata.labels}
get pod web -o jsonpath-as-json={.metadata.labels}
get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP
get pods -o custom-columns=NAME:.metadata.name,IMAGES:.spec.containers[*].image --no-headers
get pods -o bad
get pods web -A
get nosuch
get
get pods web -l a=b
get --raw /version
get --raw /nosuch
get deploy dep --subresource=scale
get deploy dep --subresource=scale -o yaml
get deploy dep --subresource=status -o name
get cm settings -o yaml
get ep,endpointslices
get sts,ds,job,cronjob
get secrets,cm,sa,roles,rolebindings,lease,priorityclass,crd,apiservices
get pv,pvc,sc
get ing,netpol
get hpa,pdb
get deployments.v1.apps
get deployments.v1beta9.apps
get pod web --ignore-not-found
get pod webx --ignore-not-found
get pods --field-selector=status.phase=Running
get pods --field-selector=foo=bar
get pods -l 'a in (b'
get --nosuchflag
get pods -Z
get pods -o
get pods web -o yaml --show-managed-fields
get pod pod/web
get a/b/c
get pods,nosuch
get pods --output=wide --no-headers --show-labels
get pods -A -o wide
get pods,svc -A
get -f nosuch.yaml
get pods --sort-by=.status.containerStatuses[0].restartCount
get pods --sort-by={.nothing}
get pods --watch-only=false -o=jsonpath='{.items[0].metadata.name}'
describe pod web
describe pod w
describe deploy dep
describe rc rc
describe svc lb
describe ep web
describe endpointslice web-1
describe node node-1
describe secret login
describe cm settings
describe sa builder
describe pv pv1
describe pvc data
describe job job
describe cronjob cron
describe ds ds
describe sts sts
describe ing ing
describe netpol np
describe quota -n shop
describe hpa hpa
describe pdb pdb
describe event web.1
describe role reader
describe rolebinding readers
describe clusterrole prober
describe sc fast
describe pc high
describe lease lease
describe ingressclass nginx
describe clusterrole edit
describe rc,svc
describe
describe nosuch x
api-resources
api-resources --namespaced=false -o wide
api-resources -o name
api-resources --api-group=apps --no-headers
api-versions
cluster-info
config view
config view --minify
config view --raw
config view -o json
config get-contexts
config current-context
config get-clusters
config get-users
explain pods
explain pod.spec.containers.resources
explain pod.spec.containers
explain pod.nosuch
explain deploy --recursive
explain svc.spec.type
explain nosuch
explain
explain cronjobs --api-version=batch/v1
exec web
exec web ls
exec nosuch -- ls
exec web -c nosuch -- ls
attach nosuch
port-forward web
port-forward idle 80
port-forward svc/web nosuch:1
wait --for=condition=Ready pod/web --timeout=1s
wait --for=jsonpath={.status.phase}=Running pod/web
wait --for=delete pod/nosuch
wait --for=condition=Ready pod/nosuch
wait --for=bad pod/web
wait pod/web
wait --for=condition=Initialized=true pod/web
wait --for=create pod/web
wait --for=condition=PodScheduled pod -l app=web
events
events --for pod/web
events -A --types=Warning
events -n shop
auth can-i get pods
auth can-i get pods --as=bob
auth can-i get nodes
auth can-i get nosuch
auth can-i get /healthz
auth whoami
auth can-i --list --as=bob
rollout status deploy/dep --watch=false
rollout history deploy/dep
rollout status rc/rc
rollout status ds/ds --watch=false
rollout status sts/sts --watch=false
rollout history ds/ds
logs nosuch
logs
logs -l app=none
logs web -c nosuch
logs web idle c
"""

WRITES = r"""
run kubia --image=x --port=8080 ## delete pod kubia --now
run kubia --image=x --port=8080 --dry-run=client -o yaml
run kubia --image=x --dry-run=client -o json
run kubia --image=x --env=A=b --labels=a=b,c=d --restart=Never --command --dry-run=client -o yaml -- sh -c 'echo hi'
run kubia --image=x --dry-run=server ##
run kubia --image=x --port=80 --expose ## delete pod,svc kubia --now
run kubia
run --image=x
run kubia --image=x --restart=Bad
run kubia --image=x --overrides={"spec":{"dnsPolicy":"None"}} --dry-run=client -o yaml
run kubia --image=x -o name ## delete pod kubia --now
run web --image=x
run Bad_Name --image=x
run kubia --image=x --port=abc
run kubia --image=x --rm
run kubia --image=x --env=bad
expose rc rc --type=LoadBalancer --name kubia-http ## delete svc kubia-http
expose rc rc --port=80 --target-port=8080 --name=a --dry-run=client -o yaml
expose pod web --name=b --dry-run=client -o yaml
expose deploy dep --port=80 --name=c ## delete svc c
expose deploy dep --port=80 --name=c --dry-run=client
expose svc web --name=e --port=99 --dry-run=client -o yaml
expose pod idle
expose cm settings
expose rs rs --port=1
expose rc nosuch --port=1
scale rc rc --replicas=3 ## scale rc rc --replicas=2
scale deploy dep --replicas=4 --current-replicas=9
scale deploy dep --current-replicas=3 --replicas=3
scale rc rc
scale rc --replicas=1
scale rc nosuch --replicas=1
scale pod web --replicas=1
scale rc/rc deploy/dep --replicas=2 ## scale deploy dep --replicas=3
scale rc rc --replicas=2 -o yaml
scale rc rc --replicas=2 --dry-run=client
scale rc rc --replicas=2 --dry-run=server
scale --replicas=2 --all rc
delete pod nosuch
delete cm nosuch --ignore-not-found
delete cm d1 --dry-run=client
delete pod
delete
delete pod web --dry-run=client
delete pod web --dry-run=server -o name
delete pods -l app=none
delete cm settings --cascade=bad --dry-run=client
delete pod web --grace-period=0 --dry-run=client
delete pod web --force --dry-run=client
delete pod web --now --grace-period=3
config use-context nosuch
config use-context sampan
config delete-context nosuch
label pod web a=b --dry-run=client
label svc web --list
label pod web
label pod web app=other
label pod web app=web
label pod web x=y ## label pod web x-
label pod web nothere-
label pods --all x=y --dry-run=server
label pod nosuch a=b
label pod web a=b a-
label pod web a=b -o yaml --dry-run=client
label web a=b
annotate pod web a=b ## annotate pod web a-
annotate pod web other=1
annotate pod web other=1 --overwrite --dry-run=server
annotate pod web
annotate svc web x=y -o name ## annotate svc web x-
apply
apply -f nosuch
cordon node-1 ## uncordon node-1
uncordon node-1
cordon nosuch
cordon
taint node node-1 a=b:NoSchedule ## taint node node-1 a-
taint node node-1 nosuch-
taint node node-1 dedicated=x:NoSchedule
taint node node-1 a=b:Bad
create
create ns
create ns n1 --dry-run=client -o yaml
create ns n1 --dry-run=client -o json
create ns default
create cm c1 --from-literal=a=b --dry-run=client -o yaml
create cm c1 --from-literal=a=b ## delete cm c1
create cm c1 --from-literal=bad
create secret generic s1 --from-literal=a=b --dry-run=client -o yaml
create secret docker-registry r1 --docker-username=u --docker-password=p --dry-run=client -o yaml
create deployment d1 --image=x:1 --replicas=2 --port=80 --dry-run=client -o yaml
create deployment d1 --image=x ## delete deploy d1
create deploy d1
create service clusterip s1 --tcp=80:8080 --dry-run=client -o yaml
create service nodeport s1 --tcp=80 ## delete svc s1
create service externalname s1 --external-name=x.y --dry-run=client -o yaml
create sa s1 -n shop ## delete sa s1 -n shop
create sa s1 -n shop --dry-run=client -o yaml
create job j1 --image=x --dry-run=client -o yaml -- sh -c true
create cronjob c1 --image=x --schedule='* * * * *' --dry-run=client -o yaml
create role r1 --verb=get,list --resource=pods,deployments.apps --dry-run=client -o yaml
create clusterrole r1 --verb=get --non-resource-url=/x --dry-run=client -o yaml
create rolebinding b1 --role=reader --user=u --serviceaccount=default:builder --dry-run=client -o yaml
create clusterrolebinding b1 --clusterrole=view --group=g --dry-run=client -o yaml
create quota q1 --hard=pods=1,cpu=2 --dry-run=client -o yaml
create pdb p1 --selector=a=b --min-available=1 --dry-run=client -o yaml
create priorityclass p1 --value=5 --description=x --dry-run=client -o yaml
create -f nosuch
create -f {manifest} ## delete cm ap
create token nosuch
patch cm settings -p '{"data":{"z":"1"}}' --dry-run=server
patch cm settings -p '{"data":{"key":"value"}}'
patch cm settings -p '{"data":{"z":"1"}}' --dry-run=client -o yaml
patch deploy dep -p '{"spec":{"replicas":3}}' -o name
replace -f nosuch.yaml
apply -f {manifest} ## delete cm ap
apply -f {manifest} --server-side ## delete cm ap
apply -f {manifest} --dry-run=client
apply -f {manifest} --dry-run=server -o yaml
rollout pause deploy/dep ## rollout resume deploy/dep
rollout resume deploy/dep
rollout undo deploy/dep
rollout restart rc/rc
"""

OLD = r"""
get pods
get pods -o wide
get all
get pod web -o yaml
get pods -o name
get pods --show-labels
get nodes
get svc,rc
get pods -o jsonpath={.items[*].metadata.name}
get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP
get nosuch
label svc web --list
auth can-i get pods
"""


def lines(text: str) -> list[str]:
    """The lines of a block."""
    return [line for line in text.strip().splitlines() if line]
