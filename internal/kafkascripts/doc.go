// Package kafkascripts turns what somebody types for a script of Apache Kafka into the arguments of tributary's own commands:
// [Translate] is a pure function from argv to argv, with a table for each script. It runs nothing; cmd/tributary does.
package kafkascripts
