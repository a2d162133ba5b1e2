// Package admin asks and changes what a Kafka cluster knows besides records:
// groups and their offsets, configuration, ACLs, quotas, users, topics. It works
// over a client of franz-go on any cluster and returns values with JSON names,
// which commands print as tables or as they are; it prints nothing itself.
//
// An error names what it is about and is one line. [Problem] takes an answer's
// code apart for people.
package admin
