package kafka_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafka"
)

func TestParseProperties(t *testing.T) {
	text := "# a comment\n! another\n\n" +
		"bootstrap.servers = k1:9092, \\\n    k2:9092\n" +
		"acks:all\r\n" +
		"linger.ms 5\n" +
		"  compression.type=\\u006cz4\n" +
		"key.serializer=org.apache.kafka.common.serialization.StringSerializer\n" +
		"value.serializer=x\n" +
		"interceptor.classes=\n" +
		"sasl.mechanism=SCRAM-SHA-256\n" +
		"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n" +
		"  username=\"al\\\\\"ice\" \\\n" +
		"  password=\"p\\u00e4ss=;#\";\n" +
		"ssl.truststore.certificates=-----BEGIN CERTIFICATE-----\\n\\\nMIIB\\n\\\n-----END CERTIFICATE-----\n" +
		"client\\:id=no\n" +
		"client.id=a\\\\\n" +
		"ssl.endpoint.identification.algorithm=\n" +
		"retries="
	p, without, err := kafka.ParseProperties([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := kafka.Properties{
		"bootstrap.servers": "k1:9092, k2:9092",
		"acks":              "all",
		"linger.ms":         "5",
		"compression.type":  "lz4",
		"sasl.mechanism":    "SCRAM-SHA-256",
		"sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required " +
			"username=\"al\\\"ice\" password=\"päss=;#\";",
		"ssl.truststore.certificates":           "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"client.id":                             "a\\",
		"ssl.endpoint.identification.algorithm": "",
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("\n got %q\nwant %q", p, want)
	}
	if want := []string{"client:id", "interceptor.classes", "key.serializer", "value.serializer"}; !reflect.DeepEqual(without, want) {
		t.Errorf("without effect: %q, want %q", without, want)
	}
}

func TestParsePropertiesLatin1(t *testing.T) {
	p, _, err := kafka.ParseProperties([]byte("sasl.password=p\xe4ss"))
	if err != nil || p["sasl.password"] != "päss" {
		t.Errorf("%q, %v", p, err)
	}
}

func TestParsePropertiesRefuses(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"\n\nacks=3", "line 3: acks: bad value \"3\""},
		{"client.id=\\u12", "line 1: \\u needs"},
		{"ssl.keystore.type=PKCS12", "PEM"},
	} {
		_, _, err := kafka.ParseProperties([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %s", c.in, err, c.says)
		}
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("a=b\\\n c\nacks = all\n#x\nsasl.jaas.config=\\u0041"))
	f.Add([]byte("\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, _, err := kafka.ParseProperties(text)
		if err != nil {
			return
		}
		e := kafka.Endpoint{Brokers: []string{"127.0.0.1:1"}}
		// Whatever was accepted makes options or an error, and no panic.
		if e, err = e.With(p); err == nil && p["ssl.ca.location"]+p["ssl.truststore.location"]+p["ssl.certificate.location"]+p["ssl.key.location"]+p["ssl.keystore.location"] == "" {
			_, _ = e.ClientOptions(kafka.ClientConfig{})
			_ = e.ConsumerOptions()
		}
	})
}
