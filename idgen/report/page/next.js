// What to do next: reasons for missing pictures, and how decisions become pictures.

const REASONS_SHOWN = 6;

/** An argument of a shell command. */
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

const LOOP = [
  ["Decide in the big view: a accepts, r rejects, 1 to 9 say why. Then save the decisions.", ""],
  ["Record them in the catalogue.", `idgen review ${shellWord(`output=${DATA.output}`)} decisions=decisions.csv review.by=YOU`],
  ["Make the rejected ones again, with new seeds.", "idgen rerun YOUR.yaml rerun.decision=rejected"],
  ["Give names to what was accepted.", "idgen generate YOUR.yaml images.publish=accepted"],
];

function fillNext() {
  if (DATA.tally.held) addLine(DATA.tally.held, "Held back by a gate", "look at them, and accept or reject each", { ...EVERYTHING, status: "held" });
  for (const [code, count] of Object.entries(DATA.problems)) addReason(code, count);
  const folded = [...at("next-list").children].slice(REASONS_SHOWN);
  for (const line of folded) line.hidden = true;
  at("next-more").hidden = !folded.length;
  at("next-more").textContent = `${folded.length} more ${folded.length === 1 ? "reason" : "reasons"}`;
  at("next-more").addEventListener("click", () => {
    for (const line of folded) line.hidden = false;
    at("next-more").hidden = true;
    folded[0].querySelector("button").focus();
  });
  at("next-loop").append(...LOOP.map(([words, command]) => make("li", {}, words, command ? make("code", {}, command) : null)));
  const missing = Object.values(DATA.problems).reduce((sum, count) => sum + count, 0);
  at("next-brief").textContent = [DATA.tally.held ? `${number(DATA.tally.held)} held` : "", missing ? `${number(missing)} without a picture` : ""].filter(Boolean).join(" · ");
}

function addReason(code, count) {
  const facts = DATA.codes[code];
  addLine(count, sentence(facts.meaning) || "No reason given", facts.what_to_do, { ...EVERYTHING, code });
}

function addLine(count, title, todo, part) {
  const show = button("Show them", () => (change(part), toPictures()), { "aria-label": `Show pictures: ${title}` });
  const words = make("p", {}, make("b", {}, title), todo ? make("span", {}, todo) : "");
  at("next-list").append(make("li", {}, make("strong", {}, number(count)), words, show));
}
