// Package kafkaconfig knows Kafka's settings by their names: what a broker here makes of a server.properties, and which
// settings of topics, producers and consumers have an effect. [Server] turns a file into a broker's configuration, and
// [WriteTable] makes the tables of docs/kafka-config.md out of the same lists. Settings of clients are carried out in internal/kafka,
// those of topics in broker; here they are only listed.
package kafkaconfig
