// Package kafka is the client side of Kafka, on franz-go: what an endpoint's URL
// means ([ParseEndpoint]), the client options that follow from it
// ([Endpoint.ClientOptions]), Java's properties files ([ReadProperties]), and the
// topics that a command creates when they are missing ([EnsureTopic]).
//
// Settings keep Kafka's own property names, so that what is known about a Java
// client holds here. The package makes no client of its own and hides none of
// franz-go's: callers produce and consume with kgo.
package kafka
