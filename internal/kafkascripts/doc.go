// Package kafkascripts turns what somebody types for a script of Apache Kafka into the arguments of tributary's own commands:
// [Translate] makes argv of argv, with a table for each script. It runs nothing, cmd/tributary does; what it reads are the files of
// --reader-config and --formatter-config, whose settings are options here.
package kafkascripts
