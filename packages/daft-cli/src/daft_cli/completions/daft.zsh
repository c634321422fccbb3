#compdef daft git-daft
# Completion of daft's words in zsh. Made by `daft completions zsh`.

# Set __daft_known to what may stand behind a path of verbs: kind|word|meaning|help a line.
__daft_know() {
  case "$1" in
@WORDS@
  *) __daft_known='' ;;
  esac
}

# Print the candidates of a context for a word.
__daft_ask() {
  if [[ -x @PYTHON@ && -r @FILE@ ]]; then
    @PYTHON@ -I -S @FILE@ @DIRECTORIES@ "${__daft_place[@]}" __complete "$1" "$2" 2>/dev/null && return
  fi
  command daft "${__daft_place[@]}" __complete "$1" "$2" 2>/dev/null
}

# Offer what has a meaning: see kind|word|meaning|help.
__daft_offer_meant() {
  local line group
  local -a parts values
  case "$1" in
  '='*) values=(${=1#=}); compadd -- "${values[@]}" ;;
  '@'*)
    local -a order
    local -A texts
    for line in ${(f)"$(__daft_ask "${1#@}" "${(Q)PREFIX}")"}; do
      parts=("${(@s:	:)line}")
      if [[ $1 != @hooks-jobs-job ]]; then
        parts=("$([[ ${#parts} -gt 2 ]] && print -r -- "${parts[2]}")" "${parts[1]}" "${parts[-1]}")
      fi
      group="${parts[1]:-value}"
      if (( ! ${order[(Ie)$group]} )); then order+=("$group"); fi
      texts[$group]+="${parts[2]//:/\\:}:${parts[3]}"$'\n'
    done
    for group in "${order[@]}"; do
      values=("${(@f)${texts[$group]%$'\n'}}")
      _describe -V -t "${(L)group}" "${(L)group}" values
    done
    ;;
  d) _files -/ ;;
  f) _files ;;
  esac
}

_daft() {
  local __daft_known path_='' waiting='' only='' kind word meaning help found last typed
  local -a __daft_place verbs options
  local -i index=0 nth=0 i
  __daft_know ''
  for (( i = 2; i < CURRENT; i++ )); do
    typed="${(Q)words[i]}"
    if [[ -n $waiting ]]; then
      if [[ $waiting = -C ]]; then __daft_place+=(-C "$typed"); fi
      waiting=''
      continue
    fi
    case "$only$typed" in
    --) only=' '; continue ;;
    --*=*) continue ;;
    esac
    found=''
    while IFS='|' read -r kind word meaning help; do
      if [[ $word = "$typed" && $kind != a && -z $only ]]; then
        if [[ $kind = v && $index -eq 0 ]]; then
          path_="${path_:+$path_ }$word" found=v
        elif [[ $kind = o ]]; then
          found=o
          if [[ -n $meaning ]]; then waiting="$word"; fi
        fi
        break
      fi
    done <<< "$__daft_known"
    if [[ $path_ = 'hooks jobs' ]]; then path_=jobs; fi
    if [[ $found = v ]]; then
      __daft_know "$path_"
    elif [[ -z $found && ( -n $only || $typed != -?* ) ]]; then
      index+=1
    fi
  done
  if [[ -z $waiting$only && $PREFIX = --*=* ]]; then
    waiting="${PREFIX%%=*}"
    compset -P '*='
  fi
  last='' nth=0
  while IFS='|' read -r kind word meaning help; do
    if [[ -n $waiting ]]; then
      if [[ $word = "$waiting" ]]; then __daft_offer_meant "$meaning"; return; fi
    elif [[ $kind = o ]]; then
      options+=("${word//:/\\:}:$help")
    elif [[ $kind = v ]]; then
      verbs+=("${word//:/\\:}:$help")
    elif [[ $kind = a ]]; then
      if (( nth == index )) || [[ $word = '*' && nth -le index ]]; then last="$meaning"; fi
      nth+=1
    fi
  done <<< "$__daft_known"
  if [[ -z $only && $PREFIX = -* ]]; then _describe -o -t options option options; fi
  if [[ -z $only && index -eq 0 && ${#verbs} -gt 0 ]]; then _describe -V -t commands verb verbs; fi
  if [[ -n $last ]]; then __daft_offer_meant "$last"; fi
}

if [[ $zsh_eval_context[-1] = loadautofunc ]]; then
  _daft "$@"
elif (( $+functions[compdef] )); then
  compdef _daft daft git-daft
fi
