"""What confluent-kafka, on librdkafka, does with a broker."""

import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

ADDR = sys.argv[1]
PATIENCE = 120  # seconds


def equal(got, want, what):
    if got != want:
        raise SystemExit("%s: got %r, want %r" % (what, got, want))


def values(n):
    return [b"v%d" % i for i in range(n)]


def done(futures):
    for f in futures.values():
        f.result(PATIENCE)


def topic(name, partitions=1):
    a = AdminClient({"bootstrap.servers": ADDR})  # what it is to do ends with it
    done(a.create_topics([NewTopic(name, partitions, 1)]))


def send(p, name, n):
    def delivered(err, _):
        if err is not None:
            raise KafkaException(err)

    for v in values(n):
        p.produce(name, value=v, key=b"k", headers=[("h", v)], partition=0, on_delivery=delivered)
    equal(p.flush(PATIENCE), 0, "records left")


def read(n, **config):
    c = Consumer(dict({"bootstrap.servers": ADDR, "group.id": "none", "enable.auto.commit": False}, **{k.replace("_", "."): v for k, v in config.items() if k != "topic"}))
    c.assign([TopicPartition(config["topic"], 0, 0)])
    got, end = [], time.time() + PATIENCE
    while len(got) < n:
        if time.time() > end:
            raise SystemExit("%d of %d records" % (len(got), n))
        m = c.poll(1)
        if m is not None:
            if m.error():
                raise KafkaException(m.error())
            equal(m.headers(), [("h", m.value())], "headers")
            got.append(m.value())
    c.close()
    return got


def admin():
    a = AdminClient({"bootstrap.servers": ADDR})
    topic("cf", 2)
    try:
        topic("cf", 2)
        raise SystemExit("made twice")
    except KafkaException as e:
        equal(e.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS, "made twice")
    done(a.create_partitions([NewPartitions("cf", 3)]))
    # What has been made is in the metadata at once.
    equal(len(a.list_topics("cf", timeout=PATIENCE).topics["cf"].partitions), 3, "partitions")
    done(a.alter_configs([ConfigResource("topic", "cf", set_config={"retention.ms": "7200000"})]))
    r = ConfigResource("topic", "cf")
    equal(a.describe_configs([r])[r].result(PATIENCE)["retention.ms"].value, "7200000", "config")
    done(a.delete_topics(["cf"]))


def produce():
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        for acks in ("all", "1", "0"):
            name = "cf-%s-%s" % (codec, acks)
            topic(name)
            send(Producer({"bootstrap.servers": ADDR, "compression.type": codec, "acks": acks}), name, 300)
            equal(read(300, topic=name), values(300), name)


def idempotent():
    topic("cf-idempotent")
    send(Producer({"bootstrap.servers": ADDR, "enable.idempotence": True, "queue.buffering.max.messages": 100000}), "cf-idempotent", 2000)
    equal(read(2000, topic="cf-idempotent"), values(2000), "idempotent")


class Member:
    def __init__(self, strategy):
        self.owned, self.got = set(), []
        self.cooperative = strategy == "cooperative-sticky"
        self.c = Consumer({
            "bootstrap.servers": ADDR, "group.id": "cf-" + strategy, "auto.offset.reset": "earliest", "enable.auto.commit": False,
            "partition.assignment.strategy": strategy, "session.timeout.ms": 60000, "heartbeat.interval.ms": 100,
        })
        self.c.subscribe(["cf-" + strategy], on_assign=self.assigned, on_revoke=self.revoked)

    def assigned(self, c, parts):
        if self.cooperative:
            self.owned |= {p.partition for p in parts}
            c.incremental_assign(parts)
        else:
            self.owned = {p.partition for p in parts}
            c.assign(parts)

    def revoked(self, c, parts):
        self.owned -= {p.partition for p in parts}
        if self.cooperative:
            c.incremental_unassign(parts)
        else:
            c.unassign()

    def poll(self):
        m = self.c.poll(0.05)
        if m is not None and not m.error():
            self.got.append(m.value())
            self.c.commit(m, asynchronous=False)


def wait(what, members, ok):
    end = time.time() + PATIENCE
    while not ok():
        if time.time() > end:
            raise SystemExit("%s: %s" % (what, [(m.owned, len(m.got)) for m in members]))
        for m in members:
            m.poll()


def group():
    for strategy in ("range", "roundrobin", "cooperative-sticky"):
        name = "cf-" + strategy
        topic(name, 4)
        p = Producer({"bootstrap.servers": ADDR})

        def fill(n):
            for i, v in enumerate(values(n)):
                p.produce(name, value=v, partition=i % 4)
            equal(p.flush(PATIENCE), 0, "records left")

        fill(40)
        one = Member(strategy)
        wait("alone", [one], lambda: len(one.owned) == 4 and set(one.got) == set(values(40)))
        two = Member(strategy)
        wait("half each", [one, two], lambda: len(one.owned) == 2 and len(two.owned) == 2)
        one.c.close()
        wait("takeover", [two], lambda: len(two.owned) == 4)
        fill(20)
        wait("the rest", [two], lambda: set(two.got) == set(values(20)))
        two.c.close()


def transactions():
    topic("cf-in")
    topic("cf-out")
    send(Producer({"bootstrap.servers": ADDR}), "cf-in", 10)
    p = Producer({"bootstrap.servers": ADDR, "transactional.id": "cf"})
    p.init_transactions(PATIENCE)
    p.begin_transaction()
    send(p, "cf-out", 7)
    p.abort_transaction(PATIENCE)
    c = Consumer({"bootstrap.servers": ADDR, "group.id": "cf-txn", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    c.subscribe(["cf-in"])
    end = time.time() + PATIENCE
    n = 0
    while n < 10:
        if time.time() > end:
            raise SystemExit("%d of 10 records to transact" % n)
        m = c.poll(1)
        n += m is not None and m.error() is None
    p.begin_transaction()
    send(p, "cf-out", 5)
    p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), PATIENCE)
    p.commit_transaction(PATIENCE)
    equal([t.offset for t in c.committed([TopicPartition("cf-in", 0)], PATIENCE)], [10], "offsets of the transaction")
    c.close()
    equal(read(5, topic="cf-out", isolation_level="read_committed"), values(5), "committed")
    equal(read(12, topic="cf-out", isolation_level="read_uncommitted"), values(7) + values(5), "all")
    again = Producer({"bootstrap.servers": ADDR, "transactional.id": "cf"})
    again.init_transactions(PATIENCE)
    try:
        p.begin_transaction()
        p.produce("cf-out", value=b"late", partition=0)
        p.commit_transaction(PATIENCE)
        raise SystemExit("the first producer was not fenced")
    except KafkaException as e:
        equal(e.args[0].fatal(), True, "fenced")


for name in sys.argv[2:]:
    {"admin": admin, "produce": produce, "idempotent": idempotent, "group": group, "transactions": transactions}[name]()
print("well")
