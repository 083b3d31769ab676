// A booking system in Node that tells Reengage about its appointments.
//
//     node booking.cjs book    a-17 +12025550101 2026-12-11T10:00:00-05:00
//     node booking.cjs move    a-17 +12025550101 2026-12-12T09:00:00-05:00
//     node booking.cjs cancel  a-17 +12025550101
//
// Needs @aws-sdk/client-eventbridge, AWS credentials that may call events:PutEvents, and BUS, the stack's output
// EventBusName.

const { EventBridgeClient, PutEventsCommand } = require("@aws-sdk/client-eventbridge");
const { setTimeout: sleep } = require("node:timers/promises");

const BRAND = "acme-dental";
const ATTEMPTS = 4;

// Put one event on the bus and return its id; try again if the bus does not take it. PutEvents can fail without an
// exception, so look at FailedEntryCount. occurred_at is your own clock: the newest event counts, also if two arrive in
// the wrong order.
async function publish(detailType, detail) {
  const entry = {
    EventBusName: process.env.BUS,
    Source: "acme.booking",
    DetailType: detailType,
    Detail: JSON.stringify({ occurred_at: new Date().toISOString(), ...detail }),
  };
  const client = new EventBridgeClient({});
  let answer;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    answer = await client.send(new PutEventsCommand({ Entries: [entry] }));
    if (!answer.FailedEntryCount) return answer.Entries[0].EventId;
    await sleep(200 * 2 ** attempt);
  }
  throw new Error(`the bus did not take ${detailType}: ${answer.Entries[0].ErrorCode}`);
}

const contact = (address) => ({ brand: BRAND, channel: "sms", address });
const visit = (id, number, startsAt) => ({
  contact: contact(number),
  appointment_id: id,
  starts_at: startsAt,
  timezone: "America/New_York",
});

const actions = {
  book: (id, number, startsAt) =>
    publish("AppointmentBooked", { ...visit(id, number, startsAt), location: "12 Example Street" }),
  move: (id, number, startsAt) => publish("AppointmentRescheduled", visit(id, number, startsAt)),
  cancel: (id, number) => publish("AppointmentCancelled", { contact: contact(number), appointment_id: id }),
};

const [action, ...parameters] = process.argv.slice(2);
actions[action](...parameters).then(console.log, (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
