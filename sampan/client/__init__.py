"""The async client: transports, typed requests, reflector, informer, lister, workqueue."""
