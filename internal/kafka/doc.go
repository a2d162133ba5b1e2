// Package kafka is the client side of Kafka, on franz-go: what an endpoint's URL
// means ([ParseEndpoint]), the client options that follow from it
// ([Endpoint.ClientOptions]), Java's properties files ([ReadProperties]), and the
// topics that a command creates when they are missing ([EnsureTopic]).
//
// Settings keep Kafka's own property names, so that what is known about a Java
// client holds here. Callers produce and consume with kgo, of which nothing is hidden;
// who produces very much has a [Producer], which makes batches and sends them over
// connections of its own.
package kafka
