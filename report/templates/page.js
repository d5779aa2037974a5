"use strict";
// An address with #anchor opens what it points to; what is opened becomes the address.
const unfold = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target) {
    const details = target.closest("details");
    if (details) details.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", unfold);
unfold();
for (const details of document.querySelectorAll("details[id]")) {
  details.querySelector("summary").addEventListener("click", () => {
    if (!details.open) history.replaceState(null, "", `#${details.id}`);
  });
}
// Paper cannot be unfolded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
