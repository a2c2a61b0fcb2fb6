const entities: { readonly [character: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character]!)
}

/** Lines and what they are indented by, kept. */
export function linesAsHtml(text: string): string {
  return escapeHtml(text)
    .replaceAll(/^ +/gm, (indent) => '&nbsp;'.repeat(indent.length))
    .replaceAll('\n', '<br>\n')
}

/** A link that shows where it leads: nobody is to get used to others in mails. */
export function linkAsHtml(address: string): string {
  const escaped = escapeHtml(address)
  return `<a href="${escaped}">${escaped}</a>`
}

/** Text whose paragraphs have an empty line between them; where lines are broken within one means nothing. */
export function paragraphsAsHtml(text: string): string {
  const paragraphs = text.split(/(?:\r?\n[ \t]*){2,}/).filter((paragraph) => paragraph.trim() !== '')
  return paragraphs.map((paragraph) => `<p>${escapeHtml(paragraph.trim())}</p>`).join('\n')
}
